package parkinglog

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// knownBytes bounds what is kept of entries that are not read back.
	knownBytes = 8 << 20
	// followerBytes are those of a record of a run in memory, beside its data.
	followerBytes = 88
)

// known has the entries that this process writes until they are read back. One that
// stands in the topic as it was written, byte for byte, need not be decoded.
type known struct {
	mu    sync.Mutex
	of    map[string]written // by what Encode says of it: token and number are in there
	bytes int
}

type written struct {
	r *kgo.Record
	e *parking.Entry
}

func (w written) size() int {
	return len(w.r.Key) + len(w.r.Value) + len(w.r.Headers[0].Value) + w.e.Records()*followerBytes
}

// add keeps an entry that decodes to what it was encoded from; others may be clipped.
func (k *known) add(r *kgo.Record, e *parking.Entry) {
	if e.Kind != parking.KindRun && (e.Kind != parking.KindParked || e.Parked.Failure != parking.Failure{}) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := *e // an entry gets another number when it is written again
	w := written{r, &kept}
	if k.bytes += w.size(); k.of == nil || k.bytes > knownBytes {
		k.of, k.bytes = make(map[string]written), w.size()
	}
	k.of[string(r.Headers[0].Value)] = w
}

// take returns the entry that a record is, once; nil: it has to be decoded.
func (k *known) take(r *kgo.Record) *parking.Entry {
	if len(r.Headers) == 0 {
		return nil
	}
	k.mu.Lock()
	w, ok := k.of[string(r.Headers[0].Value)]
	if ok {
		delete(k.of, string(r.Headers[0].Value))
		k.bytes -= w.size()
	}
	k.mu.Unlock()
	if !ok || w.r.Partition != r.Partition || !same(w.r.Key, r.Key) || !same(w.r.Value, r.Value) ||
		!slices.EqualFunc(w.r.Headers, r.Headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }) {
		return nil
	}
	return w.e
}

// forget drops what was written to a partition: nobody reads on for who wrote it.
func (k *known) forget(partition int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.of, func(_ string, w written) bool {
		gone := w.r.Partition == partition
		if gone {
			k.bytes -= w.size()
		}
		return gone
	})
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
