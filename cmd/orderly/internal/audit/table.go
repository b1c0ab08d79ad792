package audit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// buckets is in how many parts keys are divided, each of which can go to a file.
const buckets = 64

// A table holds the states of keys, and spills what does not fit.
type table struct {
	rules  Rules
	tally  *tally
	budget int64
	dir    string // of the spill files
	depth  int    // how many bytes of the ids have been used
	keep   bool   // spill files stay, as a state file names them

	used    int64
	spilled int64 // bytes that were ever written
	parts   [buckets]bucket
}

type bucket struct {
	index  map[keyID]int32
	states []state
	used   int64
	file   *spill // nil: all is in memory
}

// A spill is a bucket on disk: states, and then what is observed of them.
type spill struct {
	path                string
	f                   *os.File
	w                   *bufio.Writer
	bytes               int64
	states, observation int64
}

func newTable(rules Rules, t *tally, budget int64, dir string) *table {
	return &table{rules: rules, tally: t, budget: budget, dir: dir}
}

func (tb *table) bucket(id keyID) *bucket {
	return &tb.parts[(id[tb.depth%len(id)]^byte(tb.depth))%buckets]
}

// on takes an observation of a record with a key.
func (tb *table) on(o *Observation) error {
	b := tb.bucket(o.id)
	if b.file != nil {
		b.file.observation++
		return tb.write(b.file, kindObservation, o.append)
	}
	if b.index == nil {
		b.index = map[keyID]int32{}
	}
	i, known := b.index[o.id]
	if !known {
		i = int32(len(b.states))
		b.index[o.id] = i
		b.states = append(b.states, state{id: o.id})
	}
	grown := b.states[i].on(o, tb.rules, tb.tally)
	return tb.grow(b, grown)
}

// put takes a state that was spilled.
func (tb *table) put(s state, cost int64) error {
	b := tb.bucket(s.id)
	if b.file != nil {
		b.file.states++
		return tb.write(b.file, kindState, s.append)
	}
	if b.index == nil {
		b.index = map[keyID]int32{}
	}
	b.index[s.id] = int32(len(b.states))
	b.states = append(b.states, s)
	return tb.grow(b, cost)
}

// grow counts memory, and spills the largest buckets while it is too much. What is
// the same in all the bytes of an id cannot be divided any further.
func (tb *table) grow(b *bucket, by int64) error {
	b.used += by
	tb.used += by
	for tb.used > tb.budget && tb.depth < len(keyID{}) {
		largest := &tb.parts[0]
		for i := range tb.parts {
			if tb.parts[i].used > largest.used {
				largest = &tb.parts[i]
			}
		}
		if largest.used == 0 {
			return nil
		}
		if err := tb.spill(largest); err != nil {
			return err
		}
	}
	return nil
}

func (tb *table) spill(b *bucket) error {
	if err := os.MkdirAll(tb.dir, 0o700); err != nil {
		return fmt.Errorf("the folder for spill files: %w", err)
	}
	n := 0
	for i := range tb.parts {
		if b == &tb.parts[i] {
			n = i
		}
	}
	path := filepath.Join(tb.dir, fmt.Sprintf("keys-%d-%02d", tb.depth, n))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	b.file = &spill{path: path, f: f, w: bufio.NewWriterSize(f, 64<<10)}
	for i := range b.states {
		b.file.states++
		if err := tb.write(b.file, kindState, b.states[i].append); err != nil {
			return err
		}
	}
	tb.used -= b.used
	b.index, b.states, b.used = nil, nil, 0
	return nil
}

// A frame in a spill file is its length with its kind, and what it holds.
const (
	kindObservation = 0
	kindState       = 1
	// mostFrame is more than any state takes: each span of it some 40 bytes.
	mostFrame = (mostStrands + 1) * (mostSpans*40 + 200)
)

func (tb *table) write(s *spill, kind uint64, appendTo func([]byte) []byte) error {
	body := appendTo(make([]byte, binary.MaxVarintLen64, 160))
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(body)-binary.MaxVarintLen64)<<1|kind)
	copy(body[binary.MaxVarintLen64-n:], head[:n])
	frame := body[binary.MaxVarintLen64-n:]
	s.bytes += int64(len(frame))
	tb.spilled += int64(len(frame))
	_, err := s.w.Write(frame)
	return err
}

// frames reads the frames of a file.
func frames(r io.Reader, each func(kind uint64, body []byte) error) error {
	in := bufio.NewReaderSize(r, 256<<10)
	var body []byte
	for {
		head, err := binary.ReadUvarint(in)
		if err == io.EOF {
			return nil
		}
		n := head >> 1
		if err != nil || n > mostFrame {
			return errSpill
		}
		if uint64(cap(body)) < n {
			body = make([]byte, n)
		}
		body = body[:n]
		if _, err := io.ReadFull(in, body); err != nil {
			return errSpill
		}
		if err := each(head&1, body); err != nil {
			return err
		}
	}
}

// end judges every key. The table is empty then.
func (tb *table) end() error {
	for i := range tb.parts {
		b := &tb.parts[i]
		for j := range b.states {
			b.states[j].end(tb.rules, tb.tally)
		}
		tb.used -= b.used
		b.index, b.states, b.used = nil, nil, 0
	}
	// Only now, when their memory is free, those on disk.
	for i := range tb.parts {
		file := tb.parts[i].file
		if file == nil {
			continue
		}
		tb.parts[i].file = nil
		if err := tb.replay(i, file); err != nil {
			return err
		}
	}
	return nil
}

// replay reads a bucket back into a table of its own, which may spill again.
func (tb *table) replay(i int, s *spill) (err error) {
	defer func() {
		err = errors.Join(err, s.f.Close())
		if !tb.keep {
			err = errors.Join(err, os.Remove(s.path))
		}
	}()
	if err := s.w.Flush(); err != nil {
		return err
	}
	sub := newTable(tb.rules, tb.tally, tb.budget, filepath.Join(tb.dir, fmt.Sprintf("%d-%02d", tb.depth, i)))
	sub.depth = tb.depth + 1
	defer func() {
		tb.spilled += sub.spilled
		err = errors.Join(err, sub.discard(), os.RemoveAll(sub.dir))
	}()
	err = frames(io.NewSectionReader(s.f, 0, s.bytes), func(kind uint64, body []byte) error {
		if kind == kindState {
			st, cost, err := stateOf(body)
			if err != nil {
				return err
			}
			return sub.put(st, cost)
		}
		o, err := observation(body)
		if err != nil {
			return err
		}
		return sub.on(&o)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return sub.end()
}

// discard closes and removes what was not ended.
func (tb *table) discard() (err error) {
	for i := range tb.parts {
		if f := tb.parts[i].file; f != nil {
			err = errors.Join(err, f.f.Close())
			if !tb.keep {
				err = errors.Join(err, os.Remove(f.path))
			}
		}
		tb.parts[i] = bucket{}
	}
	return err
}
