package group

import (
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/progress"
)

type tp struct {
	topic     string
	partition int32
}

type ownership int

const (
	granting ownership = iota // assigned; no token yet
	live
	draining // being released
	gone
)

// A Partition is one ownership of one partition.
type Partition struct {
	tp
	lane *lane.Partition // nil until granted
	ring *progress.Ring

	// The poll loop's own.
	skip *progress.Skip

	// accepting is set when records that are polled belong to this ownership,
	// and not to one before it.
	accepting atomic.Bool

	// queued is the offset behind the last record that the lanes have: the ring knows
	// of one a moment earlier.
	queued atomic.Int64

	released chan struct{} // closed when a release has ended
	ranging  atomic.Bool   // its log's bounds are being looked up

	// Guarded by Session.mu.
	state      ownership
	token      int64
	tried      int64 // highest token that was sent
	assigned   time.Time
	topicID    [16]byte
	meta       progress.Meta // as it was at the first grant: what it says beyond the ring is kept
	start      int64         // the watermark it began with
	committed  int64         // offset of the last acknowledged commit
	text       string        // and its metadata
	member     string        // id under which it was granted last
	needGrant  bool
	needSince  time.Time
	unsure     bool  // it may have been another's since the grant: needGrant, and no last commit
	refusedGen int32 // generation in which a commit was refused or not answered
	sealed     *commitItem
	pause      uint32
	shown      uint32 // halt and pause bits that were last reported
	shownPause uint32

	settled     uint64 // records done that the last commit covers
	notRecorded int64  // of those done ahead it could not name
	extent      extent
	ages        ages
	serial      int64            // below it records run one at a time; zero: they do not
	trying      *lane.Item       // the one that runs then
	tries       progress.Attempt // what its attempt is counted as when the process ends with it
	recorded    progress.Attempt // the last attempt that was committed before it began
	ends        ends

	park   Parked           // nil: nothing stands beside it; set once, when it is granted first
	extras []progress.Field // of the last acknowledged commit
	above  int64            // the next token is above it
	why    string           // reason that was last reported for haltParking

	stored Stored    // nil: its positions are kept nowhere else
	noted  time.Time // when a note was written last
	unread bool      // what the note says that its commits name is not known: nothing of it may start
	doubts uint64    // how often doubt was called

	snap progress.Snapshot // the committer's buffer, under Session.mu
}

// barred says that nothing of the partition may be committed by this member in
// this generation, save a new grant. What is being released may still be
// committed in the generation after one that refused: it is ours until we have
// joined again. Called with Session.mu held.
func (p *Partition) barred(member string, gen int32) bool {
	switch {
	case p.unsure || p.member != member:
		return true
	case p.needGrant:
		return p.state == live || p.refusedGen == gen
	}
	return false
}

// doubt bars the partition until the whole step is taken again, and confirms that
// nobody else has owned it since the last time. Called with Session.mu held.
func (p *Partition) doubt() {
	// A generation that left a commit without an answer stays barred.
	if !p.needGrant {
		p.needSince = time.Now()
	}
	p.needGrant, p.unsure = true, true
	p.doubts++
	p.lane.SetHalt(haltGrant)
}

// again is how many records that are done come again at the next owner, at the
// most. Called with Session.mu held.
func (p *Partition) again() int64 {
	return int64(p.lane.Stat().Done-p.settled) + p.notRecorded
}

func (p *Partition) halted() uint32 {
	if p.lane == nil {
		return haltGrant
	}
	return p.lane.Halted()
}
