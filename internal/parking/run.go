package parking

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A run is what many records of a key that follow parked ones cost less as: one entry
// for all of them. It says what as many parked entries in a row say, each resting on the
// one before, and stands in the topic as a whole or not at all: so it allows nothing that
// those did not.
const (
	runBytes   = 64 << 10 // of their data; one that is larger goes alone
	maxRecords = 1 << 16  // of a run that is read
)

// RunBody is records of one key that follow parked ones. Entry.Offset is the first one's.
type RunBody struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	N         int        `json:"records"`
	Records   []Follower `json:"-"`
}

// A Follower is a record of a run.
type Follower struct {
	Offset, Timestamp int64 // of the source record, that in milliseconds
	Record            Record
}

// Size is what a record counts as parked: its data, and something for what is written
// with it.
func (r *Record) Size() int64 {
	const own = 32
	n := own + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(n)
}

// Records is how many parked records an entry holds.
func (e *Entry) Records() int {
	switch {
	case e.Run != nil:
		return len(e.Run.Records)
	case e.Parked != nil:
		return 1
	}
	return 0
}

// Record returns the parked entry of the record at an offset, also out of a run; nil
// when there is none.
func (e *Entry) Record(offset int64) *Entry {
	if e.Parked != nil && e.Offset == offset {
		return e
	}
	if e.Run == nil {
		return nil
	}
	for i := range e.Run.Records {
		if f := &e.Run.Records[i]; f.Offset == offset {
			return &Entry{Kind: KindParked, Token: e.Token, Seq: e.Seq, Key: e.Key, Offset: offset,
				Parked: &ParkedBody{Record: f.Record, Topic: e.Run.Topic, Partition: e.Run.Partition, Timestamp: f.Timestamp}}
		}
	}
	return nil
}

func checkRun(e *Entry) error {
	r := e.Run
	switch {
	case len(r.Records) == 0 || len(r.Records) > maxRecords:
		return fmt.Errorf("the run has %d records and not 1 to %d", len(r.Records), maxRecords)
	case r.N != len(r.Records):
		return fmt.Errorf("the run has %d records and says %d", len(r.Records), r.N)
	case r.Records[0].Offset != e.Offset:
		return fmt.Errorf("the run stands at %d and begins at %d", e.Offset, r.Records[0].Offset)
	case e.After == 0:
		return errors.New("a run rests on nothing: its records follow others")
	}
	for i := range r.Records[1:] {
		if r.Records[i+1].Offset <= r.Records[i].Offset {
			return errors.New("the run's records are not in order")
		}
	}
	return nil
}

// The value of a run's record holds one after the other: offset and timestamp, as
// differences to those before; the key: 0 is the run's own, 1 none, others its length
// and 2; the value: 0 is none, others its length and 1; how many headers, and each one's
// name and value.

// runValue is the records of a run.
func runValue(e *Entry) []byte {
	size := int64(0)
	for i := range e.Run.Records {
		size += e.Run.Records[i].Record.Size() // more than it takes
	}
	to := make([]byte, 0, size)
	offset, stamp := e.Offset, int64(0)
	for i := range e.Run.Records {
		f := &e.Run.Records[i]
		to = binary.AppendUvarint(to, uint64(f.Offset-offset))
		to = binary.AppendVarint(to, f.Timestamp-stamp)
		offset, stamp = f.Offset, f.Timestamp
		switch {
		case sameKey(f.Record.Key, e.Key):
			to = append(to, 0)
		case f.Record.Key == nil:
			to = append(to, 1)
		default:
			to = append(binary.AppendUvarint(to, uint64(len(f.Record.Key))+2), f.Record.Key...)
		}
		to = appendBytes(to, f.Record.Value)
		to = binary.AppendUvarint(to, uint64(len(f.Record.Headers)))
		for _, h := range f.Record.Headers {
			to = append(binary.AppendUvarint(to, uint64(len(h.Key))), h.Key...)
			to = appendBytes(to, h.Value)
		}
	}
	return to
}

func appendBytes(to, b []byte) []byte {
	if b == nil {
		return append(to, 0)
	}
	return append(binary.AppendUvarint(to, uint64(len(b))+1), b...)
}

// readRun reads n records of a run. They share the value's bytes.
func readRun(e *Entry, n int, value []byte) ([]Follower, error) {
	const least = 5 // bytes of a record
	if n < 1 || n > maxRecords || n > len(value)/least {
		return nil, fmt.Errorf("it says that it has %d records, in %d bytes", n, len(value))
	}
	d := runReader{rest: value}
	out := make([]Follower, n)
	offset, stamp := uint64(e.Offset), int64(0)
	for i := range out {
		f := &out[i]
		offset += d.number()
		stamp += d.signed()
		f.Offset, f.Timestamp = int64(offset), stamp
		switch k := d.number(); k {
		case 0:
			f.Record.Key = e.Key
		case 1:
		default:
			f.Record.Key = d.bytes(k - 2)
		}
		f.Record.Value = d.value()
		for left := d.number(); left > 0 && !d.bad; left-- {
			name := d.bytes(d.number())
			f.Record.Headers = append(f.Record.Headers, Header{string(name), d.value()})
		}
		if d.bad {
			return nil, fmt.Errorf("record %d of the run is cut short", i+1)
		}
	}
	if len(d.rest) > 0 {
		return nil, fmt.Errorf("%d bytes follow the run", len(d.rest))
	}
	return out, nil
}

type runReader struct {
	rest []byte
	bad  bool
}

func (d *runReader) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *runReader) signed() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *runReader) bytes(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return nil
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

func (d *runReader) value() []byte {
	n := d.number()
	if n == 0 {
		return nil
	}
	return d.bytes(n - 1)
}
