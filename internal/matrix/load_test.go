//go:build unix

package matrix

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	writers     = 3
	keysOfEach  = 20
	loadTick    = 10 * time.Millisecond // each writer writes one record
	heldRecords = 24
)

// A load is a producer that writes all the time. Records of a key are numbered,
// and only one goroutine writes a key.
type load struct {
	s    *scene
	p    *orderly.Producer
	halt chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	sent   map[string]int // how many of each key
	acked  map[string][]record
	total  int
	per    map[int32]int // acknowledged, by partition
	failed []error
}

// load starts one.
func (s *scene) load(change ...func(*orderly.ProducerConfig)) *load {
	s.t.Helper()
	cfg := orderly.ProducerConfig{Brokers: shared.c.Addrs(), KafkaOpts: impatient(), Logger: s.logger("producer")}
	for _, f := range change {
		f(&cfg)
	}
	p, err := orderly.NewProducer(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	l := &load{s: s, p: p, halt: make(chan struct{}), sent: make(map[string]int), acked: make(map[string][]record), per: make(map[int32]int)}
	s.loads = append(s.loads, l)
	for w := range writers {
		rng := rand.New(rand.NewPCG(s.seed, uint64(w)))
		l.wg.Go(func() {
			tick := time.NewTicker(loadTick)
			defer tick.Stop()
			for {
				l.write(fmt.Sprintf("w%d-%d-%d", len(s.loads), w, rng.IntN(keysOfEach)))
				select {
				case <-l.halt:
					return
				case <-tick.C:
				}
			}
		})
	}
	return l
}

func (l *load) write(key string) {
	l.mu.Lock()
	l.sent[key]++
	n := l.sent[key]
	l.mu.Unlock()
	rec := &kgo.Record{Topic: l.s.topic, Key: []byte(key), Value: []byte(fmt.Sprint(n))}
	l.p.Produce(context.Background(), rec, func(rec *kgo.Record, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.failed = append(l.failed, err)
			return
		}
		l.acked[key] = append(l.acked[key], record{rec.Partition, rec.Offset})
		l.total++
		l.per[rec.Partition]++
	})
}

// hold writes records of keys that members with Hold do not finish, to all
// partitions; two of each key, so that the second must never run before the first.
func (l *load) hold() {
	for i := range heldRecords {
		l.write(fmt.Sprintf("%s%d", held, i))
		l.write(fmt.Sprintf("%s%d", held, i))
	}
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// failure is why the first record failed, if one did.
func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 {
		return nil
	}
	return l.failed[0]
}

func (l *load) acknowledgedIn(partition int32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.per[partition]
}

// ends are the offsets behind the last records that were acknowledged.
func (l *load) ends() map[int32]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int32]int64)
	for _, rs := range l.acked {
		for _, r := range rs {
			out[r.partition] = max(out[r.partition], r.offset+1)
		}
	}
	return out
}

// stop ends the writers, and waits for all outcomes.
func (l *load) stop() {
	l.s.t.Helper()
	select {
	case <-l.halt:
		return
	default:
	}
	close(l.halt)
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.p.Close(ctx); err != nil {
		l.s.t.Errorf("closing the producer: %v", err)
	}
}

// handled waits until everything that is acknowledged now is done.
func (l *load) handled() {
	l.s.t.Helper()
	l.mu.Lock()
	var left []record
	for _, rs := range l.acked {
		left = append(left, rs...)
	}
	l.mu.Unlock()
	l.s.until("all that was acknowledged is done", func() bool {
		left = slices.DeleteFunc(left, l.s.h.isDone)
		return len(left) == 0
	})
}
