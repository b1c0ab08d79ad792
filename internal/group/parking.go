package group

import (
	"context"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
)

// Parking is what stands beside the partitions of a session: topics in which records
// are parked. It is found before a partition's token is committed, and the commits of
// the partition guard it.
type Parking interface {
	// Look looks at what stands beside partitions now: one answer for each.
	Look(ctx context.Context, asks []ParkingAsk) []ParkingSight
	// Begin begins an ownership. It returns at once.
	Begin(topic string, partition int32, host ParkingHost) Parked
	// MinLimit is how much commit metadata it needs beside what is always there.
	MinLimit() int
}

// A ParkingAsk is a partition and what the group's commit says of it.
type ParkingAsk struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Committed bool // there is a commit with our metadata
	Extra     []progress.Field
	Note      *progress.Note // that the commit names, when what it says is to be known
}

// A ParkingSight is what Look has seen. With Err a partition must not be granted: its
// metadata would then say what it does not know. Fatal: nothing that passes.
type ParkingSight struct {
	Err   error
	Fatal bool
	What  any // for Parked.Granted
	Noted *Noted
	// Unread: the note that was asked for may be there, and cannot be read now. The partition
	// is granted, does not start, and its commits go on to name the note.
	Unread bool
}

// Noted is what a note says: what the metadata of a commit had no room for.
type Noted struct {
	Ahead        []progress.Run
	CompleteUpTo int64
	Attempts     []progress.Attempt
}

// Parked is one ownership's side. None of its methods but Drained waits for anything.
type Parked interface {
	// Granted says that a token was committed, together with all that the metadata
	// said. It reports whether the partition may start; otherwise ParkingHost.Open
	// says so later. clean: the owner before has released the partition in order.
	Granted(part *lane.Partition, token, watermark int64, clean bool, extra []progress.Field, what any) bool
	// Extra returns the fields of the next commit, whose watermark was taken before.
	Extra(of []progress.Field) []progress.Field
	// Note writes a note soon, unless one is on its way or says the same. It keeps
	// nothing of its argument.
	Note(n Noted)
	// Noted returns the last note of the ownership that was read back; nil: none.
	Noted() (*progress.Note, Noted)
	// Committed says that a commit under the token was acknowledged.
	Committed(token, watermark int64, extra []progress.Field)
	// Drained returns when what was begun of records is known, or at the time.
	Drained(until time.Time)
	// End ends the ownership.
	End()
	// Reason names what the partition waits for, while it may not start.
	Reason() string
}

// ParkingHost is the partition, as Parked sees it. Its methods take the session's
// lock: they are not called from within Parked's methods.
type ParkingHost interface {
	Open(token int64)               // it may start under this token
	Shut()                          // nothing may start
	Doubt(token int64, above int64) // the whole step again, for a token above
	Commit()                        // soon
}

type parkingHost struct {
	s *Session
	p *Partition
}

func (h parkingHost) Open(token int64) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.p.state != gone && h.p.token == token {
		h.p.lane.ClearHalt(haltParking)
	}
}

func (h parkingHost) Shut() { h.p.lane.SetHalt(haltParking) }

func (h parkingHost) Doubt(token, above int64) {
	h.s.mu.Lock()
	if h.p.state != gone && h.p.token == token {
		h.p.above = max(h.p.above, above)
		h.p.lane.SetHalt(haltParking)
		h.p.doubt()
	}
	h.s.mu.Unlock()
	h.s.kickCommitter()
}

func (h parkingHost) Commit() { h.s.kickCommitter() }

// lookBeside asks what stands beside partitions, as the commits that were read say.
func (s *Session) lookBeside(ctx context.Context, asks []ParkingAsk) []ParkingSight {
	if s.cfg.Parking == nil {
		return make([]ParkingSight, len(asks))
	}
	return s.cfg.Parking.Look(ctx, asks)
}

// beginBeside is called with Session.mu held, before the partition has its lanes.
func (s *Session) beginBeside(p *Partition, pc *lane.PartitionConfig) {
	if s.cfg.Parking == nil {
		return
	}
	p.park = s.cfg.Parking.Begin(p.topic, p.partition, parkingHost{s, p})
	pc.Beside = p.park
}

// grantBeside is called with Session.mu held, when the token was committed and before
// anything may start under it.
func (s *Session) grantBeside(p *Partition, it *commitItem) {
	if p.park == nil {
		return
	}
	p.lane.SetHalt(haltParking)
	if p.park.Granted(p.lane, it.token, it.offset, it.clean, it.meta.Extra, it.beside) {
		p.lane.ClearHalt(haltParking)
	}
}

// extra are the fields of a commit that this package does not know.
func (p *Partition) extra() []progress.Field {
	if p.park == nil {
		return p.meta.Extra
	}
	of := p.park.Extra(p.extras)
	if p.stored != nil {
		of = p.stored.Extra(of)
	}
	return of
}

// leastLimit is how much room the metadata of commits needs.
func (s *Session) leastLimit() int {
	if s.cfg.Parking == nil {
		return progress.MinLimit
	}
	return progress.MinLimit + s.cfg.Parking.MinLimit()
}

// whyParking names what holds up a partition that waits for what stands beside it.
func (p *Partition) whyParking(halt uint32) string {
	if p.park == nil || halt&haltParking == 0 {
		return ""
	}
	if why := p.park.Reason(); why != "" {
		return why
	}
	return awaitingParking
}

// reasonsOf are the names of what a partition waits for.
func (p *Partition) reasonsOf(halt, pause uint32) []string {
	names := reasons(halt, pause)
	for i, n := range names {
		if n == awaitingParking {
			names[i] = p.whyParking(halt)
		}
	}
	return names
}

// endBeside ends what stands beside it, when its lanes are closed.
func (p *Partition) endBeside() {
	if p.park != nil {
		p.park.End()
	}
}
