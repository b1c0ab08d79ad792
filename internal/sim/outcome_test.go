//go:build synctests

package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
)

// outcomes is how the records of a seed fail, besides what mixture does. It is one
// for all members, as the records are.
type outcomes struct {
	seed     uint64
	poison   float64 // share of records that are Permanent until all is mended
	hopeless float64 // that fail, in all ways, until then
	killer   float64 // that kill the process that handles them
	lives    atomic.Int64
	calm     time.Duration // above zero: handlers are slow only in every other such time
	dep      *dependency
	died     func(*member) // brings another process after one that a record has killed
	mended   atomic.Bool
}

var (
	errPermanent   = errors.New("this record is not what the handler can process")
	errHopeless    = errors.New("this record fails whatever is done")
	errUnavailable = errors.New("the dependency of this record is away for a moment")
)

type nature int

const (
	natureFine nature = iota
	naturePoison
	natureHopeless
	natureKiller
)

// largeValue is the size of a value that no dead letter may have while its topic's
// limit is smallLetters.
const (
	largeValue   = 6000
	smallLetters = "4000"
)

// healthyKey begins the keys of records that never fail by themselves.
const healthyKey = 'h'

// nature is what a record is, the same in all members.
func (o *outcomes) nature(m *orderly.Message) nature {
	if len(m.Key) > 0 && m.Key[0] == healthyKey {
		return natureFine
	}
	return o.natureOf(recordOf(m), len(m.Value) >= largeValue)
}

func (o *outcomes) natureOf(at record, large bool) nature {
	r := rand.New(rand.NewPCG(o.seed^uint64(at.partition)<<32, ^uint64(at.offset))).Float64()
	switch {
	case large:
		return naturePoison
	case r < o.poison:
		return naturePoison
	case r < o.poison+o.hopeless:
		return natureHopeless
	case r < o.poison+o.hopeless+o.killer:
		return natureKiller
	}
	return natureFine
}

// around is the act with what befalls the record before it.
func (o *outcomes) around(do act) act {
	return func(ctx context.Context, m *orderly.Message) error {
		if err := o.dep.call(m); err != nil {
			return err
		}
		if len(m.Key) > 0 && m.Key[0] == healthyKey {
			return nil
		}
		try := rand.New(rand.NewPCG(o.seed^uint64(m.Offset)<<20, uint64(m.Attempt)))
		switch o.nature(m) {
		case natureFine:
		case naturePoison:
			if !o.mended.Load() {
				return orderly.Permanent(errPermanent)
			}
		case natureHopeless:
			if !o.mended.Load() {
				return o.fail(m, try)
			}
		case natureKiller:
			if o.lives.Add(-1) >= 0 {
				o.kill(ctx, try.IntN(2) == 0)
				return context.Cause(ctx)
			}
		}
		if o.calm > 0 && time.Since(o.dep.began)/o.calm%2 == 0 {
			return nil // as a handler that does next to nothing: of these, records run inline
		}
		return do(ctx, m)
	}
}

// fail is a failure of any kind. Unavailable it is at first only: keys that say so for
// ever hold a breaker open, and are to.
func (o *outcomes) fail(m *orderly.Message, try *rand.Rand) error {
	switch try.IntN(8) {
	case 0:
		panic("the handler was made to panic")
	case 1:
		return orderly.RetryAfter(errHopeless, time.Duration(try.IntN(300))*time.Millisecond)
	case 2, 3:
		if m.Attempt <= 4 {
			return orderly.Unavailable(errUnavailable)
		}
	}
	return errHopeless
}

// kill ends the process of a handler, which never returns a result.
func (o *outcomes) kill(ctx context.Context, lose bool) {
	m := ctx.Value(memberKey{}).(*member)
	m.w.ledger.count("killed by a record")
	m.kill(lose)
	o.died(m)
	<-ctx.Done()
}

// A dependency is what all handlers need. While it is down every key fails.
type dependency struct {
	began time.Time
	style string // how handlers say that it is down

	mu   sync.Mutex
	down int
}

var errDown = errors.New("connection refused")

func (d *dependency) isDown() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down > 0
}

// outage takes it down until the function that it returns is called.
func (d *dependency) outage() (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down++
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.down--
	})
}

// Styles of handlers.
const (
	stylePlain  = "plain"  // they return its error
	styleMarked = "marked" // they mark it with Unavailable
	styleMixed  = "mixed"  // one or the other
	styleAsked  = "asked"  // Retry.Classify knows it
)

func (d *dependency) call(m *orderly.Message) error {
	if !d.isDown() {
		return nil
	}
	if d.style == styleMarked || d.style == styleMixed && (m.Offset+int64(m.Attempt))%2 == 0 {
		return orderly.Unavailable(errDown)
	}
	return errDown
}

func (d *dependency) classify(err error) orderly.Class {
	if d.style == styleAsked && errors.Is(err, errDown) {
		return orderly.ClassUnavailable
	}
	return orderly.ClassRetry
}

// probe asks whether it is up; when it is not, it may take its time.
func (d *dependency) probe(ctx context.Context) error {
	if !d.isDown() {
		return nil
	}
	if time.Since(d.began)/time.Second%3 == 0 {
		return busy(ctx, time.Hour)
	}
	return errDown
}
