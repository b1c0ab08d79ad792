package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Aside is what a franz-go subject does with a record that has failed so often that
// it goes on without it. "" tries it in place until it succeeds.
type Aside string

// The ways to go on without a record.
const (
	// RetryTopic writes it to a topic that another consumer reads, soon.
	RetryTopic Aside = "a retry topic"
	// DeadLetters writes it to a topic that is looked at later.
	DeadLetters Aside = "dead letters"
)

// later is how old a record is when its topic's consumer takes it.
func (a Aside) later() time.Duration {
	if a == DeadLetters {
		return time.Second
	}
	return 50 * time.Millisecond
}

// What a member without a breaker of its own does about failures: after so many in
// a row it waits, and goes on.
const (
	failuresInRow = 3
	fixedPause    = 100 * time.Millisecond
)

// trouble is what happened to records that failed.
type trouble struct {
	down   atomic.Bool  // the handlers' dependency does not answer
	calls  atomic.Int64 // calls while it did not
	late   atomic.Int64 // of these: when it had been down for half of its time
	half   atomic.Bool
	pauses atomic.Int64
	aside  atomic.Int64 // records that the application went on without

	letters *kgo.Client // writes records aside; nil: none are
	topic   string
}

// letter names the record that was set aside.
type letter struct {
	Partition int32 `json:"p"`
	Offset    int64 `json:"o"`
}

const letterHeader = "aside"

// openLetters makes the topic of what is set aside, and its consumer.
func (a *app) openLetters(ctx context.Context) (err error) {
	how := a.s.who.Client.Aside
	if a.s.who.Kind != FranzGo || how == "" {
		return nil
	}
	if a.topic, err = a.s.world.create(ctx, a.s.role+"-aside", 1); err != nil {
		return err
	}
	opts := append(hasty(), kgo.DefaultProduceTopic(a.topic))
	if a.letters, err = kgo.NewClient(a.s.client(a.s.role+"-aside-writer", opts...)...); err != nil {
		return err
	}
	reader, err := kgo.NewClient(a.s.client(a.s.role+"-aside-reader", append(hasty(),
		kgo.ConsumeTopics(a.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)...)
	if err != nil {
		return err
	}
	a.running.Go(func() {
		defer reader.Close()
		a.readLetters(reader, how)
	})
	return nil
}

// setAside writes a record elsewhere; the application goes on when that is
// acknowledged.
func (a *app) setAside(member string, r *kgo.Record) error {
	where, err := json.Marshal(letter{r.Partition, r.Offset})
	if err != nil {
		return err
	}
	l := &kgo.Record{Key: r.Key, Value: r.Value, Headers: append(r.Headers[:len(r.Headers):len(r.Headers)], kgo.RecordHeader{Key: letterHeader, Value: where})}
	if err := a.letters.ProduceSync(a.ctx, l).FirstErr(); err != nil {
		return err
	}
	a.aside.Add(1)
	a.s.book.add(history.Event{Kind: history.Park, Member: member, Topic: a.s.topic, Partition: r.Partition, Offset: r.Offset})
	return nil
}

// readLetters is the consumer of what was set aside: one record after the other,
// each until it succeeds.
func (a *app) readLetters(reader *kgo.Client, how Aside) {
	slots := make(chan struct{}, 1)
	for a.ctx.Err() == nil {
		reader.PollFetches(a.ctx).EachRecord(func(l *kgo.Record) {
			var at letter
			for _, h := range l.Headers {
				if h.Key == letterHeader && json.Unmarshal(h.Value, &at) != nil {
					return
				}
			}
			if !a.wait(time.Until(l.Timestamp.Add(how.later()))) {
				return
			}
			r := &kgo.Record{Topic: a.s.topic, Partition: at.Partition, Offset: at.Offset, Key: l.Key, Value: l.Value, Headers: l.Headers[:len(l.Headers)-1]}
			a.untilDone("the consumer of "+string(how), r, slots)
		})
	}
}

// wait waits, and tells whether the experiment goes on.
func (a *app) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// untilDone processes a record until it succeeds.
func (a *app) untilDone(member string, r *kgo.Record, slots chan struct{}) {
	a.attempt(member, r, slots, func(int) bool { return false })
}

// attempt processes a record until it succeeds, or is given up.
func (a *app) attempt(member string, r *kgo.Record, slots chan struct{}, giveUp func(attempt int) bool) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		slots <- struct{}{}
		err := a.handles(context.Background(), member, r, 0, attempt)
		<-slots
		if !errors.Is(err, errPlanned) && !errors.Is(err, errDown) || giveUp(attempt) || a.ctx.Err() != nil {
			return
		}
		time.Sleep(rand.N(pause)) // as a backoff does
		pause = min(2*pause, longestPause)
	}
}

// A row counts a member's failures in a row.
type row struct {
	mu sync.Mutex
	n  int
}

// full counts one more, and tells whether it is time to wait.
func (f *row) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n < failuresInRow {
		return false
	}
	f.n = 0
	return true
}

func (f *row) over() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n = 0
}

// handlePlainly processes a record as the subject's settings say.
func (a *app) handlePlainly(member string, r *kgo.Record, slots chan struct{}, inRow *row) {
	c := &a.s.who.Client
	given := false
	a.attempt(member, r, slots, func(attempt int) bool {
		given = true
		if c.Pauses && inRow.full() {
			a.pauses.Add(1)
			a.wait(fixedPause)
		}
		if c.Aside == "" || attempt < c.Attempts {
			given = false
			return false
		}
		if err := a.setAside(member, r); err != nil {
			given = false // it is tried once more, as nothing else has it
		}
		return given
	})
	if !given {
		inRow.over()
	}
}

var errDown = errors.New("what the handler needs does not answer: the experiment wants it so")

// outage takes the handlers' dependency away when half of the records are
// processed, and gives it back.
func (a *app) outage() {
	if a.s.cfg.outage == 0 || !a.reach(a.ctx, int64(a.s.cfg.Keys*a.s.cfg.Records/2)) {
		return
	}
	a.down.Store(true)
	a.wait(a.s.cfg.outage / 2)
	a.half.Store(true)
	a.wait(a.s.cfg.outage / 2)
	a.down.Store(false)
}

// refused tells of a call that found the dependency down.
func (a *app) refused() {
	a.calls.Add(1)
	if a.half.Load() {
		a.late.Add(1)
	}
	a.s.book.struck.Add(1)
	a.s.book.add(history.Event{Kind: history.Fault, Why: "dependency down", Topic: a.s.topic, Partition: -1, Offset: -1})
}

// facts are what else was counted.
func (t *trouble) facts() (facts []string) {
	for _, f := range []struct {
		n    int64
		what string
	}{{t.calls.Load(), "calls while the dependency was down"}, {t.late.Load(), "of these in the second half"}, {t.pauses.Load(), "pauses"}, {t.aside.Load(), "records set aside"}} {
		if f.n > 0 {
			facts = append(facts, fmt.Sprintf("%s: %d", f.what, f.n))
		}
	}
	return facts
}
