//go:build unix

package matrix

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// operator runs f as an operator who waits for an answer for at most that long.
func (s *scene) operator(wait time.Duration, f func(ctx context.Context, a *orderly.Admin) error) error {
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: shared.c.Addrs(), Group: s.group, Who: "matrix", KafkaOpts: append(impatient(), kgo.DisableClientMetrics())})
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return f(ctx, a)
}

func (s *scene) parkedKeys() (keys []orderly.ParkedKey, err error) {
	err = s.operator(10*time.Second, func(ctx context.Context, a *orderly.Admin) (err error) {
		keys, err = a.ParkedKeys(ctx, s.topic)
		return err
	})
	return keys, err
}

// parkedOf waits until so many keys of a kind are parked in partitions of a member (nil:
// of all).
func (s *scene) parkedOf(p *process, of kind, n int) (out []orderly.ParkedKey) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d keys of kind %d are parked", n, of), func() bool {
		keys, err := s.parkedKeys()
		if err != nil {
			return false
		}
		owners := s.h.owners()
		out = nil
		for _, k := range keys {
			if kindOf(string(k.Key)) == of && (p == nil || owners[k.Partition].member == p.name) {
				out = append(out, k)
			}
		}
		return len(out) >= n
	})
	return out
}

// stalledOf waits until so many keys of partitions of a member (nil: of all) are blocked, and
// returns their oldest records.
func (s *scene) stalledOf(l *load, p *process, n int) (out []orderly.Command) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d keys are blocked", n), func() bool {
		failed := make(map[record]bool)
		for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.End && !e.OK }) {
			failed[record{e.Partition, e.Offset}] = true
		}
		owners := s.h.owners()
		l.mu.Lock()
		defer l.mu.Unlock()
		out = nil
		for key, rs := range l.acked {
			if kindOf(key) == stalled && failed[rs[0]] && (p == nil || owners[rs[0].partition].member == p.name) {
				out = append(out, orderly.Command{Topic: s.topic, Partition: rs[0].partition, Key: []byte(key), Offset: rs[0].offset})
			}
		}
		return len(out) >= n
	})
	return out
}

// A word is what an operator says once, by its id, however often it is sent.
type word struct {
	what string
	do   func(ctx context.Context, a *orderly.Admin) (orderly.Answer, error)

	answer orderly.Answer
}

func (s *scene) word(what string, do func(*orderly.Admin) func(context.Context, orderly.Command) (orderly.Answer, error), c orderly.Command, id string) *word {
	c.ID = id
	if what != "retry" {
		c.Reason = "the scene says so"
	}
	return &word{what: fmt.Sprintf("%s %s of key %s, offset %d of partition %d", id, what, c.Key, c.Offset, c.Partition),
		do: func(ctx context.Context, a *orderly.Admin) (orderly.Answer, error) { return do(a)(ctx, c) }}
}

func retry(a *orderly.Admin) func(context.Context, orderly.Command) (orderly.Answer, error) {
	return a.Retry
}
func skip(a *orderly.Admin) func(context.Context, orderly.Command) (orderly.Answer, error) {
	return a.Skip
}
func park(a *orderly.Admin) func(context.Context, orderly.Command) (orderly.Answer, error) {
	return a.Park
}

func commandFor(topic string, k orderly.ParkedKey) orderly.Command {
	return orderly.Command{Topic: topic, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset}
}

// pausing is the word pause or resume, of a whole partition.
func (s *scene) pausing(resume bool, partition int32, id string) *word {
	t := orderly.Target{Topic: s.topic, Partitions: []int32{partition}, Reason: "the scene says so", ID: id}
	what := map[bool]string{false: "pause", true: "resume"}[resume]
	return &word{what: fmt.Sprintf("%s %s of partition %d", id, what, partition), do: func(ctx context.Context, a *orderly.Admin) (orderly.Answer, error) {
		do := a.Pause
		if resume {
			do = a.Resume
		}
		answers, err := do(ctx, t)
		if len(answers) != 1 {
			return orderly.Answer{}, fmt.Errorf("%d answers, want that of the one partition: %w", len(answers), err)
		}
		return answers[0].Answer, err
	}}
}

// saying is words that are under way.
type saying struct {
	s     *scene
	words []*word
	stop  chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex
	n     int // answered
}

// say sends words all at once; each again, under its id, until it is answered.
func (s *scene) say(words ...*word) *saying {
	y := &saying{s: s, words: words, stop: make(chan struct{})}
	for _, w := range words {
		y.all.Go(func() {
			for {
				var ans orderly.Answer
				err := s.operator(3*time.Second, func(ctx context.Context, a *orderly.Admin) (err error) {
					ans, err = w.do(ctx, a)
					return err
				})
				if err == nil {
					y.mu.Lock()
					defer y.mu.Unlock()
					w.answer = ans
					y.n++
					return
				}
				select {
				case <-y.stop:
					return
				default:
				}
			}
		})
	}
	return y
}

func (y *saying) answered() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.n
}

// done waits until all is answered, and well.
func (y *saying) done() {
	y.s.t.Helper()
	defer y.all.Wait()
	defer close(y.stop)
	y.s.until("all words are answered", func() bool { return y.answered() == len(y.words) })
	for _, w := range y.words {
		y.s.t.Logf("%s: %s %s", w.what, w.answer.State, w.answer.Result)
		if w.answer.State != "done" {
			y.s.t.Errorf("%s was answered with %+v", w.what, w.answer)
		}
	}
}

// repeated sends all words again: each has the answer that it had, of that time.
func (y *saying) repeated() {
	y.s.t.Helper()
	again := make([]*word, 0, len(y.words))
	for _, w := range y.words {
		again = append(again, &word{what: w.what, do: w.do})
	}
	r := y.s.say(again...)
	r.done()
	for i, w := range y.words {
		if got := again[i].answer; got != w.answer {
			y.s.t.Errorf("%s was answered with %+v, and its repeat with %+v", w.what, w.answer, got)
		}
	}
}

// starts are those of a record from an event on.
func (s *scene) starts(partition int32, offset, from int64) (n int) {
	return len(s.h.find(func(e history.Event) bool {
		return e.Kind == history.Start && e.Partition == partition && e.Offset == offset && e.N > from
	}))
}

// skipped are the records that were skipped by words.
func (s *scene) skipped() map[record]bool {
	out := make(map[record]bool)
	for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.Done && strings.HasPrefix(e.Why, skippedWhy) }) {
		out[record{e.Partition, e.Offset}] = true
	}
	return out
}

// now is the number of the last event.
func (s *scene) now() int64 {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	return int64(len(s.h.events))
}

// released ends the load and releases what is parked, until all is done: handlers have
// to be mended.
func (s *scene) released() {
	s.t.Helper()
	for _, l := range s.loads {
		l.stop()
	}
	var last time.Time
	s.until("nothing is parked or blocked, and all is done", func() bool {
		if time.Since(last) < 500*time.Millisecond {
			return false
		}
		defer func() { last = time.Now() }()
		var words []*word
		left := 0
		keys, err := s.parkedKeys()
		if err != nil {
			return false
		}
		parked := make(map[string]bool)
		for _, k := range keys {
			parked[string(k.Key)] = true
			if k.Permanent {
				words = append(words, s.word("retry", retry, commandFor(s.topic, k), ""))
			}
		}
		for _, l := range s.loads {
			for key, rs := range l.acked { // nobody writes any more
				for _, r := range rs {
					if s.h.isDone(r) {
						continue
					}
					if left++; kindOf(key) == stalled && !parked[key] {
						words = append(words, s.word("retry", retry, orderly.Command{Topic: s.topic, Partition: r.partition, Key: []byte(key), Offset: r.offset}, ""))
					}
					break
				}
			}
		}
		for _, w := range words {
			_ = s.operator(2*time.Second, func(ctx context.Context, a *orderly.Admin) error { _, err := w.do(ctx, a); return err })
		}
		return left == 0 && len(keys) == 0
	})
	s.finish()
}
