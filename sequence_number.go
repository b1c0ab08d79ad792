package orderly

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strconv"
	"sync/atomic"

	"github.com/orderly-go/orderly/internal/deadletter"
	"github.com/orderly-go/orderly/internal/fieldpath"
	seqguard "github.com/orderly-go/orderly/internal/guard"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readNumber returns a record's number; ok: it has one.
type readNumber func(r *kgo.Record) (n seqguard.Number, ok bool, err error)

// reader is where the configuration says that numbers are.
func (s *SequenceGuard) reader() readNumber {
	switch {
	case s.Headers:
		return new(headerReader).number
	case s.Number != nil:
		return s.ask
	}
	path, err := fieldpath.Parse(s.Field)
	return func(r *kgo.Record) (seqguard.Number, bool, error) {
		if err != nil {
			return seqguard.Number{}, false, err // the configuration was checked
		}
		return fieldNumber(path, r)
	}
}

// A headerReader reads our headers. Many records have one writer: its id is checked and
// allocated once, and not for each of them and each key.
type headerReader struct{ last atomic.Pointer[string] }

func (h *headerReader) writer(id []byte) (string, error) {
	if last := h.last.Load(); last != nil && *last == string(id) {
		return *last, nil
	}
	w := string(id)
	if bad := badWriter(w); bad != "" {
		return "", fmt.Errorf("the header %s %s", HeaderWriter, bad)
	}
	h.last.Store(&w)
	return w, nil
}

// number is a record's. One that has not each of the headers once is not numbered; one
// whose values are not as docs/sequence-headers.md says is wrong.
func (h *headerReader) number(r *kgo.Record) (n seqguard.Number, ok bool, err error) {
	var writer, epoch, number []byte
	var writers, epochs, numbers int
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case HeaderWriter:
			writer, writers = h.Value, writers+1
		case HeaderEpoch:
			epoch, epochs = h.Value, epochs+1
		case HeaderSeq:
			number, numbers = h.Value, numbers+1
		}
	}
	if writers != 1 || epochs != 1 || numbers != 1 {
		return n, false, nil
	}
	if n.Writer, err = h.writer(writer); err != nil {
		return n, false, err
	}
	if n.Epoch, err = header64(HeaderEpoch, epoch); err == nil {
		n.N, err = header64(HeaderSeq, number)
	}
	return n, err == nil, err
}

func header64(name string, value []byte) (int64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("the header %s has %d bytes: it has to be an unsigned number of 8 bytes", name, len(value))
	}
	switch v := binary.BigEndian.Uint64(value); {
	case v == 0:
		return 0, fmt.Errorf("the header %s is 0: numbers are 1 and up", name)
	case v > math.MaxInt64:
		return 0, fmt.Errorf("the header %s is %d, or negative: numbers stay below 2^63", name, v)
	default:
		return int64(v), nil
	}
}

// ask calls Number, which may be wrong.
func (s *SequenceGuard) ask(r *kgo.Record) (n seqguard.Number, ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			ok, err = false, fmt.Errorf("Sequence.Number: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	switch n.N, err = s.Number(r); {
	case errors.Is(err, ErrNotNumbered):
		return n, false, nil
	case err != nil:
		return n, false, fmt.Errorf("Sequence.Number: %w", err)
	case n.N < 0:
		return n, false, fmt.Errorf("Sequence.Number returned %d: a number must not be negative", n.N)
	}
	return n, true, nil
}

// fieldNumber reads a field of the value.
func fieldNumber(path fieldpath.Path, r *kgo.Record) (n seqguard.Number, ok bool, err error) {
	if r.Value == nil {
		return n, false, nil // a tombstone
	}
	if !json.Valid(r.Value) {
		return n, false, errors.New("Sequence.Field: the value is not JSON")
	}
	raw, err := path.Find(r.Value)
	if err != nil {
		return n, false, fmt.Errorf("Sequence.Field: %w", err)
	}
	text := string(raw)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	u, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		const most = 40
		if len(raw) > most {
			raw = raw[:most]
		}
		return n, false, fmt.Errorf("Sequence.Field: %s is %s: it must be a whole number from 0 to 2^63-1", path, raw)
	}
	n.N = int64(u)
	return n, true, nil
}

// redriven says that a record was sent back from a dead-letter topic: it is not at the
// place that its number says.
func redriven(r *kgo.Record) bool {
	for i := range r.Headers {
		if r.Headers[i].Key == deadletter.RedrivenFrom {
			return true
		}
	}
	return false
}
