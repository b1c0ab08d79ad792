package parked

import (
	"context"
	"errors"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kerr"
)

// read sees to it that the topic is read as far as something is known to stand there.
// Called with mu held.
func (p *Partition) read() {
	if p.reading || p.owner == nil || p.next >= p.target || p.ended {
		return
	}
	p.reading = true
	o, l := p.owner, p.log
	p.m.run(func() { p.follow(o, l) })
}

const pageBytes = 1 << 20

// follow reads on until there is nothing more known to read, for one owner.
func (p *Partition) follow(o *parking.Owner, l *topicLog) {
	var failures int
	for {
		p.mu.Lock()
		if p.ended || p.owner != o || p.next >= p.target {
			p.reading = false
			p.read() // another owner has come
			p.mu.Unlock()
			return
		}
		from := p.next
		p.mu.Unlock()
		ctx, cancel := context.WithTimeout(p.m.ctx, 30*time.Second)
		page, err := l.Fetch(ctx, p.partition, from, pageBytes, 250)
		cancel()
		if p.m.ctx.Err() != nil {
			return
		}
		if p.take(o, page, err) {
			failures = 0
			continue
		}
		failures++
		if !p.m.sleep(min(10*time.Millisecond<<min(failures, 8), time.Second)) {
			return
		}
	}
}

// take hands what was read to the owner. It reports whether the next read may follow
// at once.
func (p *Partition) take(o *parking.Owner, page parkinglog.Page, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.owner != o {
		return true
	}
	if len(page.Entries) > 0 {
		o.Clock(time.Now().UnixMilli())
	}
	for _, r := range page.Entries {
		p.next = r.Pos + 1
		p.did(o.Read(r.Pos, r.Entry))
	}
	var at *parkinglog.PositionError
	switch {
	case err == nil:
		p.next = max(p.next, page.Next)
		if p.reason == StateUnreadable {
			p.reason, p.cause = StateAwaiting, nil
		}
		return len(page.Entries) > 0
	case errors.As(err, &at):
		p.opened = false
		p.drop(StateDamaged, p.m.damaged(p.topic, p.partition, at))
		p.queue(p.host.Shut)
		return true
	case errors.Is(err, kerr.OffsetOutOfRange):
		p.doubt(0, err)
		return false
	}
	if p.reason == StateAwaiting {
		p.reason = StateUnreadable
	}
	p.cause = err
	return false
}
