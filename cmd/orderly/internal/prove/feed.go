package prove

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A feed writes the records of a consumer's experiment bit by bit, so that there is
// work while members come and go, and knows where each of them stands.
type feed struct {
	s  *side
	cl *kgo.Client

	mu     sync.Mutex
	told   *sync.Cond // of an acknowledgement
	places []place    // of the records sent; the offset is -1 until it is known
	index  map[place]int
	err    error
}

func newFeed(s *side) (*feed, error) {
	cl, err := s.filler()
	if err != nil {
		return nil, err
	}
	f := &feed{s: s, cl: cl, index: map[place]int{}}
	f.told = sync.NewCond(&f.mu)
	return f, nil
}

func (f *feed) total() int { return f.s.cfg.Keys * f.s.cfg.Records }

// sent is how many were given to the client.
func (f *feed) sent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.places)
}

// all are the places of those sent.
func (f *feed) all() []place {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.places)
}

// more sends the next n records.
func (f *feed) more(ctx context.Context, n int) error {
	for range n {
		f.mu.Lock()
		i, err := len(f.places), f.err
		if err == nil && i < f.total() {
			f.places = append(f.places, place{offset: -1})
		}
		f.mu.Unlock()
		if err != nil {
			return &ClusterError{"writing the records of " + f.s.topic, err}
		}
		if i == f.total() {
			return nil
		}
		key, number := f.s.plain(i)
		f.cl.Produce(ctx, numbered(f.s.topic, f.s.seq, key, number), func(r *kgo.Record, err error) { f.acknowledged(i, r, err) })
	}
	return nil
}

// acknowledged writes a record down before anything that was done with it: see
// where.
func (f *feed) acknowledged(i int, r *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.told.Broadcast()
	if err != nil {
		f.err = err
		return
	}
	key, number := f.s.plain(i)
	f.s.book.add(history.Event{Kind: history.Log, Topic: f.s.topic, Partition: r.Partition, Offset: r.Offset, Key: history.BytesKey(key), Number: number})
	f.s.book.written.Add(1)
	f.places[i] = place{r.Partition, r.Offset}
	f.index[f.places[i]] = i
}

// where gives the place of a record. A program may have it before we know that it is
// written: then it waits.
func (f *feed) where(key string, number int64) (place, bool) {
	digits, ok := strings.CutPrefix(key, keyPrefix)
	k, err := strconv.Atoi(digits)
	if !ok || err != nil || k < 0 || k >= f.s.cfg.Keys || number < 1 || number > int64(f.s.cfg.Records) {
		return place{}, false
	}
	i := int(number-1)*f.s.cfg.Keys + k
	f.mu.Lock()
	defer f.mu.Unlock()
	for i < len(f.places) && f.places[i].offset < 0 && f.err == nil {
		f.told.Wait()
	}
	if i >= len(f.places) || f.places[i].offset < 0 {
		return place{}, false
	}
	return f.places[i], true
}

// who gives the key of the record at a place.
func (f *feed) who(at place) (key string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if i, ok := f.index[at]; ok {
			key, _ := f.s.plain(i)
			return string(key), true
		}
		// What is under way may be it.
		if len(f.index) == len(f.places) || f.err != nil {
			return "", false
		}
		f.told.Wait()
	}
}

// close ends it; what is under way is answered, or fails.
func (f *feed) close() { f.cl.Close() }

const keyPrefix = "key-"

// plain names the i-th record: keys in turns.
func (s *side) plain(i int) (key []byte, number int64) {
	return fmt.Appendf(nil, "%s%d", keyPrefix, i%s.cfg.Keys), int64(i/s.cfg.Keys + 1)
}
