package orderly

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Names of the sequence headers. Their encodings and what they promise stand in
// docs/sequence-headers.md; programs in other languages read them.
const (
	HeaderWriter = "orderly-writer" // UTF-8 text
	HeaderEpoch  = "orderly-epoch"  // 8 bytes, big-endian
	HeaderSeq    = "orderly-seq"    // 8 bytes, big-endian
)

// badWriter says what is wrong with a writer id.
func badWriter(id string) string {
	switch {
	case len(id) == 0 || len(id) > 64:
		return "has to be 1 to 64 bytes long"
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return "has control characters"
		}
	}
	return ""
}

func randomWriter() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// numberOf reads the number in a record's headers.
func numberOf(r *kgo.Record) (uint64, bool) {
	for _, h := range r.Headers {
		if h.Key == HeaderSeq && len(h.Value) == 8 {
			return binary.BigEndian.Uint64(h.Value), true
		}
	}
	return 0, false
}

// A writer numbers the records of a producer.
type writer struct {
	cfg  SequenceHeaders
	id   []byte
	wire int // bytes that the headers add to a record, at most

	mu    sync.Mutex
	epoch int64 // last one given
}

func newWriter(cfg SequenceHeaders) *writer {
	if !cfg.Enabled {
		return nil
	}
	if cfg.Writer == "" {
		cfg.Writer = randomWriter()
	}
	orDefault(&cfg.Epoch, 1)
	w := &writer{cfg: cfg, id: []byte(cfg.Writer)}
	for _, h := range w.headers(1, 1) {
		w.wire += headerBytes(h)
	}
	return w
}

// stamped is the memory of a record's headers, in one piece.
type stamped struct {
	headers [3]kgo.RecordHeader
	numbers [16]byte
}

func (w *writer) headers(epoch int64, number uint64) []kgo.RecordHeader {
	s := &stamped{}
	b := s.numbers[:]
	binary.BigEndian.PutUint64(b[:8], uint64(epoch))
	binary.BigEndian.PutUint64(b[8:], number)
	s.headers = [3]kgo.RecordHeader{
		{Key: HeaderWriter, Value: w.id},
		{Key: HeaderEpoch, Value: b[:8:8]},
		{Key: HeaderSeq, Value: b[8:]},
	}
	return s.headers[:]
}

// guarded calls a function of the user's. It runs under a partition's lock, which a
// panic would leave locked for a caller that recovers.
func guarded(f func() (int64, error)) (n int64, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// next returns an epoch that no partition of this writer has had.
func (w *writer) next() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.epoch + 1
	if w.cfg.NextEpoch != nil {
		var err error
		if e, err = guarded(w.cfg.NextEpoch); err != nil {
			return 0, fmt.Errorf("Sequence.NextEpoch: %w", err)
		}
		if e <= w.epoch {
			return 0, fmt.Errorf("Sequence.NextEpoch returned %d after %d: each epoch must be higher than all before it, and at least 1", e, w.epoch)
		}
	}
	w.epoch = e
	return e, nil
}

// A numbering is the writer's state for one partition. Each partition has epochs
// of its own: so a number found in a record that is sent again can be told from
// one that the same record got in another topic, whose counts are others.
type numbering struct {
	w       *writer
	epochs  []int64 // of this partition; the last one counts
	numbers *produce.Numbers
	again   map[given]struct{} // to records that failed and were not sent again since
}

// A given is a number that a record has.
type given struct {
	epoch  int64
	number uint64
	record uint64 // hash of its key and value
}

var recordSeed = maphash.MakeSeed()

// hashOf tells a record that is sent again from another one with its headers, as
// when a program fills one record with new values.
func hashOf(r *kgo.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(recordSeed)
	var sizes [18]byte
	binary.BigEndian.PutUint64(sizes[:], uint64(len(r.Key)))
	binary.BigEndian.PutUint64(sizes[8:], uint64(len(r.Value)))
	if r.Key == nil {
		sizes[16] = 1
	}
	if r.Value == nil {
		sizes[17] = 1
	}
	_, _ = h.Write(sizes[:]) // these never fail
	_, _ = h.Write(r.Key)
	_, _ = h.Write(r.Value)
	return h.Sum64()
}

// failed notes that a record which has a number of this partition failed: it may be
// sent again with it. When more records have failed than keys are counted, one of
// them is forgotten, and would get a new number: never does one get another's.
func (n *numbering) failed(r *kgo.Record) {
	epoch, number, ok := n.w.read(r)
	if !ok {
		return
	}
	if n.again == nil {
		n.again = make(map[given]struct{})
	}
	if len(n.again) >= n.w.cfg.Keys {
		for forgotten := range n.again {
			delete(n.again, forgotten)
			break
		}
	}
	n.again[given{epoch, number, hashOf(r)}] = struct{}{}
}

// abandon is failed for a record that the caller waits for no longer: it may send
// it again while this one is still under way.
func (s *sender) abandon(r *kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.numbers == nil || s.part.Why(r.Key) != nil {
		return // it is refused, perhaps without a number; failed is called when it has one
	}
	if epoch, _, ok := s.numbers.w.read(r); ok && slices.Contains(s.numbers.epochs, epoch) {
		s.numbers.failed(r)
	}
}

func (w *writer) forPartition() *numbering {
	if w == nil {
		return nil
	}
	return &numbering{w: w, numbers: produce.NewNumbers(w.cfg.Keys)}
}

// stamp puts the headers into a record: new ones, or those that it has already
// when it is sent again.
func (n *numbering) stamp(r *kgo.Record) error {
	if n == nil {
		return nil
	}
	if n.w.cfg.Number != nil {
		number, err := guarded(func() (int64, error) { return n.w.cfg.Number(r) })
		switch {
		case err != nil:
			return fmt.Errorf("Sequence.Number: %w", err)
		case number < 1:
			return fmt.Errorf("Sequence.Number returned %d: numbers are 1 and up", number)
		}
		n.set(r, n.w.cfg.Epoch, uint64(number))
		return nil
	}
	if epoch, number, ok := n.w.read(r); ok && len(n.again) > 0 {
		id := given{epoch, number, hashOf(r)}
		if _, failed := n.again[id]; failed {
			delete(n.again, id) // until it fails again: one record has it
			return nil
		}
	}
	if len(n.epochs) == 0 {
		if err := n.raise(); err != nil {
			return err
		}
	}
	number, ok := n.numbers.Next(r.Key)
	if !ok {
		if err := n.raise(); err != nil {
			return err
		}
		if number, ok = n.numbers.Next(r.Key); !ok {
			return errors.New("the table of numbers has no room for a key")
		}
	}
	n.set(r, n.epochs[len(n.epochs)-1], number)
	return nil
}

func (n *numbering) raise() error {
	e, err := n.w.next()
	if err != nil {
		return err
	}
	n.epochs = append(n.epochs, e)
	n.numbers.Reset()
	return nil
}

// read returns the epoch and the number that this writer gave to the record.
func (w *writer) read(r *kgo.Record) (epoch int64, number uint64, ok bool) {
	if len(r.Headers) < 3 {
		return 0, 0, false
	}
	var ours bool
	for _, h := range r.Headers {
		switch h.Key {
		case HeaderWriter:
			ours = string(h.Value) == string(w.id)
		case HeaderEpoch:
			if len(h.Value) == 8 {
				epoch = int64(binary.BigEndian.Uint64(h.Value))
			}
		case HeaderSeq:
			if len(h.Value) == 8 {
				number = binary.BigEndian.Uint64(h.Value)
			}
		}
	}
	return epoch, number, ours && number > 0 && epoch > 0
}

// set replaces the sequence headers, also those of another writer whose record
// this one was. The slice is a new one: the caller's may be shared.
func (n *numbering) set(r *kgo.Record, epoch int64, number uint64) {
	ours := n.w.headers(epoch, number)
	if len(r.Headers) == 0 {
		r.Headers = ours
		return
	}
	hs := make([]kgo.RecordHeader, 0, len(r.Headers)+3)
	for _, h := range r.Headers {
		if h.Key != HeaderWriter && h.Key != HeaderEpoch && h.Key != HeaderSeq {
			hs = append(hs, h)
		}
	}
	r.Headers = append(hs, ours...)
}
