package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logcheck"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	faultRecords = 4000
	faultKeys    = 20
)

// Faults that a proxy makes under a writer are found in its topic, each as what it
// is: audit counts what a plain count of the log counts, and doctor log names what
// the batches show. A safe writer under the same faults leaves nothing to find.
func TestFaultsUnderAWriterAreFound(t *testing.T) {
	weak := []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(5), kgo.RequiredAcks(kgo.LeaderAck())}
	eachBroker(t, func(t *testing.T, addrs []string) {
		for _, c := range []struct {
			name, fault string
			writer      []kgo.Opt
			surely      string // rules of audit that there have to be; others may be, as the log has them
			log         string // rules of doctor log, errors and warnings
			failed      bool   // the writer is told of records that failed
		}{
			{"lost acks, idempotent", "lost-ack:share=1/60", nil, "", "", false},
			{"lost acks, not idempotent", "lost-ack:share=1/60", weak, "duplicate", "L01", false},
			{"refused batches, idempotent", "refuse:error=6,share=1/60", nil, "", "", false},
			{"refused batches, not idempotent", "refuse:error=6,share=1/60", weak, "L06", "L01", false},
			{"batches that come twice, idempotent", "replay:share=1/60", nil, "", "", false},
			{"batches that come twice, not idempotent", "replay:share=1/60", weak, "duplicate", "L01", false},
			{"batches given up, not idempotent", "refuse:error=10,share=1/300", weak, "gap", "L01", true},
			{"batches given up, idempotent", "refuse:error=10,share=1/300", nil, "gap", "L02", true},
		} {
			t.Run(c.name, func(t *testing.T) {
				cl := client(t, addrs)
				topic := newTopic(t, cl, 4, nil)
				failed := writeThrough(t, addrs, topic, c.fault, c.writer...)
				want := count(t, cl, addrs, topic)
				r := run(t, Options{Client: cl, Topic: topic, Number: field(t)})
				if r.Late.Count != want.late || r.Duplicates.Count != want.twice || r.Missing != want.missing || r.Records != want.records {
					t.Errorf("audit has %d records, %d late, %d twice, %d missing; the log has %+v", r.Records, r.Late.Count, r.Duplicates.Count, r.Missing, want)
				}
				if got := rules(r); got != want.rules() || c.surely == "" && got != "" || !strings.Contains(got, c.surely) {
					t.Errorf("audit found %q of %+v, want %q at the least", got, want, c.surely)
				}
				if (failed > 0) != c.failed {
					t.Errorf("the writer was told that %d records failed", failed)
				}
				facts, err := logcheck.Collect(t.Context(), cl, logcheck.Options{Topic: topic, Sample: 100_000, Window: time.Hour, Now: time.Now()})
				must(t, err)
				log := logcheck.Check(facts)
				var ids []string
				for _, f := range log.Findings {
					if f.Severity != finding.Note {
						ids = append(ids, f.Rule)
					}
				}
				if got := strings.Join(slices.Compact(ids), " "); got != c.log {
					t.Errorf("doctor log found %q, want %q", got, c.log)
					_ = log.Write(t.Output())
				}
				t.Logf("%+v, %d failed: audit %q, doctor log %q", want, failed, rules(r), c.log)
			})
		}
	})
}

// writeThrough writes numbered records of some keys through a proxy with a fault,
// and gives how many the writer was told to have failed. The last record of each key
// is written past the proxy, so that whatever is missing is missing in between.
func writeThrough(t *testing.T, addrs []string, topic, fault string, opts ...kgo.Opt) int64 {
	t.Helper()
	f, err := proxy.ParseFault(fault)
	must(t, err)
	at, err := proxy.NumberAt(".v")
	must(t, err)
	p, err := proxy.Start(t.Context(), proxy.Config{Upstream: addrs, Faults: []proxy.Fault{f}, Seed: 7,
		// A first batch that is refused would leave the broker with a producer whose
		// numbers begin in the middle.
		Identify: func(topic string, r *proxy.Record) ([]byte, int64, bool) {
			key, n, ok := at(topic, r)
			return key, n, ok && n > 40
		}})
	must(t, err)
	defer func() { must(t, p.Close()) }()
	opts = append([]kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(1 << 10), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(2000),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond })}, opts...)
	cl := client(t, []string{p.Addr()}, opts...)
	record := func(i int) *kgo.Record {
		return &kgo.Record{Key: fmt.Appendf(nil, "key-%d", i%faultKeys), Value: fmt.Appendf(nil, `{"v":%d}`, i/faultKeys+1)}
	}
	var failed atomic.Int64
	for i := range faultRecords {
		cl.Produce(t.Context(), record(i), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, cl.Flush(ctx))
	p.Heal()
	if struck := p.Facts().Counts[0]; struck.Requests == 0 {
		t.Fatalf("%s struck nothing: %+v", fault, struck)
	}
	last := client(t, addrs, append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))...)
	for i := range faultKeys {
		must(t, last.ProduceSync(t.Context(), record(faultRecords+i)).FirstErr())
	}
	return failed.Load()
}

// counted is what a plain count of a log gives.
type counted struct{ records, late, twice, missing int64 }

func (c counted) rules() string {
	var ids []string
	for _, r := range []struct {
		n  int64
		id string
	}{{c.late, "L06"}, {c.twice, "duplicate"}, {c.missing, "gap"}} {
		if r.n > 0 {
			ids = append(ids, r.id)
		}
	}
	return strings.Join(ids, " ")
}

// count reads a topic with an ordinary consumer and remembers every number of every
// key.
func count(t *testing.T, cl *kgo.Client, addrs []string, topic string) (c counted) {
	t.Helper()
	o := Options{Client: cl, Topic: topic}
	ends := map[int32]int64{}
	for _, p := range run(t, o).Partitions {
		ends[p.Partition] = p.To
	}
	seen, highest := map[string]map[int64]bool{}, map[string]int64{}
	reader := client(t, addrs, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for left := len(ends); left > 0; {
		fs := reader.PollFetches(ctx)
		must(t, fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			var v struct{ V int64 }
			must(t, json.Unmarshal(r.Value, &v))
			k := string(r.Key)
			if seen[k] == nil {
				seen[k] = map[int64]bool{}
			}
			c.records++
			switch {
			case seen[k][v.V]:
				c.twice++
			case v.V < highest[k]:
				c.late++
			}
			seen[k][v.V] = true
			highest[k] = max(highest[k], v.V)
			if r.Offset == ends[r.Partition]-1 {
				left--
			}
		})
	}
	for k, all := range seen {
		lowest := highest[k]
		for n := range all {
			lowest = min(lowest, n)
		}
		c.missing += highest[k] - lowest + 1 - int64(len(all))
	}
	return c
}
