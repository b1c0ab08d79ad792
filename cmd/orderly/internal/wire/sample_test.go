package wire

import (
	"fmt"
	"testing"
	"time"
)

func batch(first int64, records int32, pid int64, epoch int16, seq, leader int32) Batch {
	return Batch{FirstOffset: first, LastOffset: first + int64(records) - 1, LeaderEpoch: leader, Magic: 2, ProducerID: pid, ProducerEpoch: epoch, Sequence: seq, Records: records, Bytes: 100}
}

func TestSequencesEpochsAndLeaders(t *testing.T) {
	txn := func(b Batch) Batch { b.Attributes |= 0x10; return b }
	marker := func(first int64, pid int64, epoch int16) Batch {
		b := batch(first, 1, pid, epoch, -1, 1)
		b.Attributes = 0x30
		return b
	}
	for _, c := range []struct {
		what                string
		log                 []Batch
		breaks, bumps, fall int64
	}{
		{"in sequence", []Batch{batch(0, 5, 7, 0, 0, 1), batch(5, 1, 8, 0, 3, 1), batch(6, 2, 7, 0, 5, 2), batch(8, 1, 8, 0, 4, 2)}, 0, 0, 0},
		{"the numbers begin anew after the highest", []Batch{batch(0, 5, 7, 0, 1<<31-3, 1), batch(5, 1, 7, 0, 2, 1)}, 0, 0, 0},
		{"a batch is missing", []Batch{batch(0, 5, 7, 0, 0, 1), batch(5, 2, 7, 0, 8, 1)}, 1, 0, 0},
		{"a batch is there twice", []Batch{batch(0, 5, 7, 0, 0, 1), batch(5, 5, 7, 0, 0, 1)}, 1, 0, 0},
		{"the epoch rises", []Batch{batch(0, 5, 7, 0, 0, 1), batch(5, 2, 7, 1, 0, 1), batch(7, 2, 7, 1, 2, 1)}, 0, 1, 0},
		{"the epoch rises, and the first batch is missing", []Batch{batch(0, 5, 7, 0, 0, 1), batch(5, 2, 7, 1, 4, 1)}, 1, 1, 0},
		{"an epoch for each transaction", []Batch{txn(batch(0, 2, 7, 3, 0, 1)), marker(2, 7, 4), txn(batch(3, 2, 7, 4, 0, 1)), marker(5, 7, 5), txn(batch(6, 1, 7, 5, 0, 1))}, 0, 0, 0},
		{"one epoch for all transactions", []Batch{txn(batch(0, 2, 7, 3, 0, 1)), marker(2, 7, 3), txn(batch(3, 2, 7, 3, 2, 1)), marker(5, 7, 3), txn(batch(6, 1, 7, 3, 4, 1))}, 0, 0, 0},
		{"a transactional producer starts anew", []Batch{txn(batch(0, 2, 7, 3, 0, 1)), marker(2, 7, 3), txn(batch(3, 2, 7, 4, 0, 1))}, 0, 0, 0},
		{"the leader's epoch falls", []Batch{batch(0, 5, -1, -1, -1, 4), batch(5, 2, -1, -1, -1, 3), batch(7, 2, -1, -1, -1, 3)}, 0, 0, 1},
	} {
		s := NewSample(3)
		s.Begin(0)
		for _, b := range c.log {
			s.Batch(b)
		}
		if s.BreakN != c.breaks || s.BumpN != c.bumps || s.FallN != c.fall {
			t.Errorf("%s: %d breaks, %d bumps, %d falls; %+v", c.what, s.BreakN, s.BumpN, s.FallN, s.Breaks)
		}
	}
	// Two parts that do not touch say nothing about each other.
	s := NewSample(3)
	s.Begin(0)
	s.Batch(batch(0, 5, 7, 0, 0, 4))
	s.Begin(0)
	s.Batch(batch(500, 5, 7, 2, 200, 3))
	s.Begin(1)
	s.Batch(batch(0, 5, 7, 0, 33, 1))
	if s.BreakN+s.BumpN+s.FallN != 0 {
		t.Errorf("%+v", s)
	}
}

func TestKeysOfSeveralProducersAndPartitions(t *testing.T) {
	s := NewSample(3)
	write := func(p int32, pids ...int64) {
		s.Begin(p)
		for i, pid := range pids {
			s.Record(Record{Offset: int64(i), Key: []byte("k"), ProducerID: pid, Time: time.UnixMilli(int64(i))})
		}
	}
	write(0, 1, 1, 2, 2, 3) // one after the other: restarts
	if s.MixN != 0 || len(s.Splits()) != 0 {
		t.Fatalf("%+v", s)
	}
	write(1, 1, 2, 1, 2)
	if s.MixN != 2 || s.Mixes[0].First.Offset != 0 || s.Mixes[0].Second.Offset != 1 || s.Mixes[0].Back.Offset != 2 {
		t.Errorf("%d times in turn: %+v", s.MixN, s.Mixes)
	}
	all := s.Splits()
	if len(all) != 1 || all[0].Key != "k" || len(all[0].At) != 5 {
		t.Errorf("%+v", all)
	}
	// Without producer ids nobody can tell writers apart.
	s = NewSample(3)
	write(0, -1, 1, -1, 1)
	if s.MixN != 0 {
		t.Errorf("%+v", s.Mixes)
	}
}

// A sample keeps within its bounds, and says that it left something out.
func TestSamplesAreBounded(t *testing.T) {
	s := NewSample(3)
	s.Begin(0)
	for i := range keepKeys + 10 {
		s.Record(Record{Offset: int64(i), Key: fmt.Appendf(nil, "k%d", i), ProducerID: int64(i % (keepWriters + 5))})
	}
	if !s.KeysLeftOut || !s.WritersLeftOut || len(s.keys) != keepKeys || len(s.writers) != keepWriters {
		t.Errorf("%d keys, %d writers", len(s.keys), len(s.writers))
	}
}
