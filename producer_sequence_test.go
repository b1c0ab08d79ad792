package orderly_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// numbered is what a reader finds in a record's headers.
type numbered struct {
	writer string
	epoch  uint64
	number uint64
}

func headers(t *testing.T, r *kgo.Record) numbered {
	t.Helper()
	var n numbered
	found := 0
	for _, h := range r.Headers {
		switch h.Key {
		case "orderly-writer":
			n.writer, found = string(h.Value), found+1
		case "orderly-epoch":
			n.epoch, found = binary.BigEndian.Uint64(h.Value), found+1
		case "orderly-seq":
			n.number, found = binary.BigEndian.Uint64(h.Value), found+1
		}
	}
	if found != 3 {
		t.Fatalf("%d sequence headers in %v", found, r.Headers)
	}
	return n
}

func numbering(cfg *orderly.ProducerConfig) { cfg.Sequence.Enabled = true }

func TestProducerSequenceNumbersEachKey(t *testing.T) {
	c := prodSite(t, 3)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) { numbering(cfg); cfg.AllowNullKey, cfg.AllowEmptyKey = true, true })
	for i := range 50 {
		for _, k := range [][]byte{[]byte("a"), []byte("b"), []byte("c"), {}, nil} {
			p.Produce(t.Context(), &kgo.Record{Topic: c.topic, Key: k, Value: []byte(strconv.Itoa(i)),
				Headers: []kgo.RecordHeader{{Key: "mine", Value: []byte("x")}}}, nil)
		}
	}
	if err := p.Flush(within30(t)); err != nil {
		t.Fatal(err)
	}
	writers, epochs := map[string]bool{}, map[uint64]int{}
	for part, recs := range readLog(t, c, c.topic) {
		last := map[string]uint64{}
		for _, r := range recs {
			n := headers(t, r)
			key := fmt.Sprintf("%q %v", r.Key, r.Key == nil)
			if n.number != last[key]+1 {
				t.Errorf("partition %d key %s: number %d after %d", part, key, n.number, last[key])
			}
			last[key] = n.number
			writers[n.writer] = true
			if r.Headers[0].Key != "mine" || len(r.Headers) != 4 {
				t.Errorf("headers %v", r.Headers)
			}
			if p, ok := epochs[n.epoch]; ok && p != part {
				t.Errorf("partitions %d and %d share epoch %d", p, part, n.epoch)
			}
			epochs[n.epoch] = part
		}
	}
	if len(writers) != 1 || writers[""] {
		t.Errorf("writers %v", writers)
	}
	// Another producer is another writer.
	q := producer(t, c, numbering)
	rs := q.ProduceSync(within30(t), c.rec("a", "0"))
	if n := headers(t, rs[0].Record); writers[n.writer] || n.number != 1 || len(n.writer) != 16 {
		t.Errorf("second producer: %+v (%v)", n, rs.FirstErr())
	}
}

// The bytes are fixed: programs in other languages read them.
func TestProducerSequenceBytes(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, func(cfg *orderly.ProducerConfig) {
		cfg.Sequence = orderly.SequenceHeaders{Enabled: true, Writer: "9f86d081884c7d65", Epoch: 0x0102030405060708,
			Number: func(r *kgo.Record) (int64, error) { return 0x1112131415161718, nil }}
	})
	if err := p.ProduceSync(within30(t), c.rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range readLog(t, c, c.topic)[0][0].Headers {
		got = append(got, h.Key+" "+hex.EncodeToString(h.Value))
	}
	want := []string{"orderly-writer 39663836643038313838346337643635", "orderly-epoch 0102030405060708", "orderly-seq 1112131415161718"}
	if !slices.Equal(got, want) {
		t.Errorf("headers %q", got)
	}
}

// A record that goes to a second topic, or comes from another writer, gets that
// topic's numbers: its own would be another record's there.
func TestProducerSequenceOfAnotherCountIsReplaced(t *testing.T) {
	c := prodSite(t, 1)
	u := newTopic(t, c.Broker, 1)
	p, q := producer(t, c, numbering), producer(t, c, numbering)
	ctx := within30(t)
	for i := range 5 {
		r := c.rec("a", strconv.Itoa(i))
		if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			continue
		}
		r.Topic = u
		if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if n := headers(t, r); n.number != uint64(i-1) || len(r.Headers) != 3 {
			t.Errorf("in the second topic record %d is %+v", i, n)
		}
		before := headers(t, r)
		if err := q.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if n := headers(t, r); n.writer == before.writer || n.number != uint64(i-1) || len(r.Headers) != 3 {
			t.Errorf("of the second writer record %d is %+v", i, n)
		}
	}
}

// When the table is full the epoch is raised; no count begins anew in one epoch.
func TestProducerSequenceFullTableRaisesEpoch(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(map[bool]string{false: "counted", true: "given"}[own], func(t *testing.T) {
			c := prodSite(t, 2)
			var given []int64
			p := producer(t, c, func(cfg *orderly.ProducerConfig) {
				numbering(cfg)
				cfg.Sequence.Keys = 3
				if own {
					cfg.Sequence.Writer = "billing"
					cfg.Sequence.NextEpoch = func() (int64, error) {
						given = append(given, 100+10*int64(len(given)))
						return given[len(given)-1], nil
					}
				}
			})
			for i := range 400 { // from one goroutine: NextEpoch is called by Produce
				p.Produce(t.Context(), c.rec(fmt.Sprintf("k%d", i*i%11), strconv.Itoa(i)), nil)
			}
			if err := p.Flush(within30(t)); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			raised := map[uint64]bool{}
			for _, recs := range readLog(t, c, c.topic) {
				last := map[string]numbered{}
				top := uint64(0)
				for _, r := range recs {
					n := headers(t, r)
					k := string(r.Key)
					id := fmt.Sprintf("%s %d %d", k, n.epoch, n.number)
					if seen[id] {
						t.Errorf("number given twice: %s", id)
					}
					seen[id] = true
					if n.epoch < top {
						t.Errorf("epoch %d after %d", n.epoch, top)
					}
					top = n.epoch
					raised[n.epoch] = true
					if l := last[k]; n.epoch == l.epoch && n.number != l.number+1 || n.epoch != l.epoch && n.number != 1 {
						t.Errorf("key %s: %+v after %+v", k, n, l)
					}
					last[k] = n
				}
			}
			if len(raised) < 10 || own && len(raised) != len(given) {
				t.Errorf("%d epochs, %d given", len(raised), len(given))
			}
		})
	}
}

func TestProducerSequenceErrorsCloseTheKey(t *testing.T) {
	mine := errors.New("no number today")
	for name, seq := range map[string]orderly.SequenceHeaders{
		"Number":              {Enabled: true, Number: func(*kgo.Record) (int64, error) { return 0, mine }},
		"Number returned 0":   {Enabled: true, Number: func(*kgo.Record) (int64, error) { return 0, nil }},
		"Number panics":       {Enabled: true, Number: func(*kgo.Record) (int64, error) { panic(mine) }},
		"NextEpoch panics":    {Enabled: true, NextEpoch: func() (int64, error) { panic(mine) }},
		"NextEpoch":           {Enabled: true, NextEpoch: func() (int64, error) { return 0, mine }},
		"NextEpoch returned ": {Enabled: true, NextEpoch: func() (int64, error) { return -1, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			c := prodSite(t, 1)
			p := producer(t, c, func(cfg *orderly.ProducerConfig) { cfg.Sequence = seq })
			rs := p.ProduceSync(within30(t), c.rec("a", "0"), c.rec("a", "1"))
			if closed := closedBy(t, rs[0].Err); closed.Refused || !errors.Is(rs[0].Err, orderly.ErrNotWritten) {
				t.Errorf("%v", rs[0].Err)
			}
			if closed := closedBy(t, rs[1].Err); !closed.Refused {
				t.Errorf("%v", rs[1].Err)
			}
		})
	}
}

// What the caller gives survives a restart: the same numbers under the same writer
// and epoch, or a new count under a higher epoch.
func TestProducerSequenceSurvivesARestart(t *testing.T) {
	c := prodSite(t, 1)
	stored := int64(40) // of a program's database
	for start := range 3 {
		given := producer(t, c, func(cfg *orderly.ProducerConfig) {
			cfg.Sequence = orderly.SequenceHeaders{Enabled: true, Writer: "billing", Epoch: 7, Number: func(r *kgo.Record) (int64, error) {
				return strconv.ParseInt(string(r.Value), 10, 64)
			}}
		})
		counted := producer(t, c, func(cfg *orderly.ProducerConfig) {
			cfg.Sequence = orderly.SequenceHeaders{Enabled: true, Writer: "shipping", NextEpoch: func() (int64, error) { stored++; return stored, nil }}
		})
		for i := range 3 {
			value := strconv.Itoa(3*start + i + 1)
			for p, want := range map[*orderly.Producer]numbered{
				given:   {"billing", 7, uint64(3*start + i + 1)},
				counted: {"shipping", uint64(41 + start), uint64(i + 1)},
			} {
				rs := p.ProduceSync(within30(t), c.rec("a", value))
				if err := rs.FirstErr(); err != nil {
					t.Fatal(err)
				}
				if n := headers(t, rs[0].Record); n != want {
					t.Errorf("start %d, record %d: %+v, want %+v", start, i, n, want)
				}
			}
		}
		for _, p := range []*orderly.Producer{given, counted} {
			if err := p.Close(within30(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One record that a program fills again and again, and one that carries the headers
// of another: each gets a number of its own. So does what was acknowledged and is
// produced again.
func TestProducerSequenceOfReusedRecords(t *testing.T) {
	c := prodSite(t, 1)
	p := producer(t, c, numbering)
	ctx := within30(t)
	reused := c.rec("a", "0")
	for i := range 3 {
		reused.Value = []byte(strconv.Itoa(i))
		if err := p.ProduceSync(ctx, reused).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	copied := c.rec("a", "3")
	copied.Headers = slices.Clone(reused.Headers)
	copied.Headers = append(copied.Headers, kgo.RecordHeader{Key: "mine"})
	other := c.rec("b", "4")
	other.Headers = slices.Clone(reused.Headers)
	for _, r := range []*kgo.Record{copied, other, copied} {
		if err := p.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	next := map[string]uint64{}
	for _, r := range readLog(t, c, c.topic)[0] {
		next[string(r.Key)]++
		if n := headers(t, r); n.number != next[string(r.Key)] {
			t.Errorf("key %s value %s: %+v, want number %d", r.Key, r.Value, n, next[string(r.Key)])
		}
	}
	if next["a"] != 5 || next["b"] != 1 {
		t.Errorf("%v", next)
	}
}
