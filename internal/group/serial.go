package group

import (
	"context"
	"fmt"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
)

// crashes is the number of unclean ends at one watermark after which redelivered
// records run one at a time.
const crashes = 2

// serialUntil is the offset from which on no earlier owner can have read, or zero when
// the partition does not run one record at a time: as far as the last commit says that
// was read, and at the least what fits the buffer, but nothing behind the log's end.
func (s *Session) serialUntil(offset int64, meta progress.Meta, b bound) int64 {
	if meta.Unclean < crashes {
		return 0
	}
	until := max(meta.CompleteUpTo, offset+int64(s.cfg.Records))
	if b.err == nil {
		until = min(until, b.end)
	}
	if until <= offset {
		return 0
	}
	return until
}

// beginSerial sets up the lanes of a partition that is granted. Called with Session.mu
// held.
func (s *Session) beginSerial(p *Partition, until int64, pc *lane.PartitionConfig) {
	if until == 0 {
		return
	}
	p.serial = until
	p.ends.used = true
	pc.Serial = lane.Serial{Until: until, Before: func(it *lane.Item) bool { return s.announce(p, it) }, Ended: make(map[int64]int)}
	for _, a := range p.ends.known {
		pc.Serial.Ended[a.Offset] = a.Count
	}
	message := fmt.Sprintf("group %s topic %s partition %d: its owners ended uncleanly %d times at offset %d: records below offset %d run one at a time, "+
		"each attempt committed before it starts, until the one that ends the process is found or they are through",
		s.cfg.Group, p.topic, p.partition, p.meta.Unclean, p.start, until)
	s.aside(func(context.Context) { s.cfg.Hooks.Warning("one-at-a-time", message) })
}

// announce commits that an attempt of the record begins: if the process ends with it,
// the next owner counts it. It waits until the commit is acknowledged, or the partition
// is halted.
func (s *Session) announce(p *Partition, it *lane.Item) bool {
	want := progress.Attempt{Offset: it.Offset, Count: int(it.Attempts) + 1}
	s.mu.Lock()
	p.trying, p.tries, p.recorded = it, want, progress.Attempt{}
	s.mu.Unlock()
	for {
		s.commit(s.work, []*Partition{p})
		s.mu.Lock()
		// When the partition has gone over to side by side meanwhile, no commit will say so.
		ok := p.recorded == want || p.serial == 0
		s.mu.Unlock()
		if p.lane.Halted() != 0 && p.lane.Halted() != lane.HaltGate || s.work.Err() != nil {
			return false
		}
		if ok {
			return true
		}
		sleep(s.work, 20*time.Millisecond)
	}
}

// announced adds the attempt that is under way to what failed. Called with Session.mu
// held.
func (p *Partition) announced(m *progress.Meta) (now progress.Attempt) {
	if p.serial == 0 || p.trying == nil || p.trying.Slot.IsDone() || p.lane.Stat().Running == 0 {
		return now
	}
	now = p.tries
	for i := range m.Attempts {
		if m.Attempts[i].Offset == now.Offset {
			m.Attempts[i].Count = now.Count
			return now
		}
	}
	m.Attempts = append(m.Attempts, now)
	return now
}

// endSerial lets partitions run side by side that are through.
func (s *Session) endSerial() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.serial > 0 && p.lane != nil && p.queued.Load() >= p.serial && p.lane.EndSerial() {
			p.serial, p.trying = 0, nil
			s.cfg.Logger.Info("orderly: the records that were read before are through; the partition runs side by side again",
				"group", s.cfg.Group, "topic", p.topic, "partition", p.partition)
		}
	}
}
