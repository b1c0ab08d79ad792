package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// eachBroker runs a test on the embedded broker, and on real Kafka.
func eachBroker(t *testing.T, test func(t *testing.T, addrs []string)) {
	t.Run("embedded", func(t *testing.T) {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		must(t, err)
		defer c.Close()
		test(t, c.ListenAddrs())
	})
	t.Run("Kafka", func(t *testing.T) {
		if !kafkatest.Require(t, kafkatest.Latest) {
			return
		}
		addrs := kafkatest.Shared()
		if addrs == nil {
			c, err := kafkatest.Start(t.Context(), kafkatest.Options{})
			must(t, err)
			defer c.Close()
			addrs = c.Addrs()
		}
		test(t, addrs)
	})
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func client(t *testing.T, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...)}, opts...)...)
	must(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func newTopic(t *testing.T, cl *kgo.Client, partitions int32, configs map[string]*string) string {
	t.Helper()
	name := kafkatest.Name(t, "audit")
	_, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, configs, name)
	must(t, err)
	return name
}

func field(t *testing.T) Numbering {
	t.Helper()
	p, err := fieldpath.Parse(".v")
	must(t, err)
	return Numbering{Field: &p}
}

func run(t *testing.T, o Options) *Report {
	t.Helper()
	o.Memory, o.Limit, o.Temp = max(o.Memory, 1<<20), 100, t.TempDir()
	r, err := Run(t.Context(), o)
	must(t, err)
	if left, _ := filepath.Glob(filepath.Join(o.Temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return r
}

func rules(r *Report) string {
	var ids []string
	for _, f := range r.Findings {
		ids = append(ids, f.Rule)
	}
	slices.Sort(ids)
	return strings.Join(slices.Compact(ids), " ")
}

// Markers, aborted records and what is still open are no faults; faults of the writer
// are found where they are, and whose they are.
func TestATopicsPast(t *testing.T) {
	eachBroker(t, func(t *testing.T, addrs []string) {
		ctx := t.Context()
		cl := client(t, addrs, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		topic := newTopic(t, cl, 3, nil)
		txn := client(t, addrs, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(topic))
		write := func(cl *kgo.Client, p int32, key string, numbers ...int) {
			for _, n := range numbers {
				must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Key: []byte(key), Value: fmt.Appendf(nil, `{"v":%d}`, n)}).FirstErr())
			}
		}
		transaction := func(end kgo.TransactionEndTry, p int32, key string, numbers ...int) {
			must(t, txn.BeginTransaction())
			write(txn, p, key, numbers...)
			must(t, txn.EndTransaction(ctx, end))
		}
		transaction(kgo.TryCommit, 0, "a", 1, 2)
		transaction(kgo.TryAbort, 0, "a", 3, 4, 2, 9) // never happened
		transaction(kgo.TryCommit, 0, "a", 3, 4)
		write(cl, 1, "b", 1, 2, 3)
		write(cl, 1, "once", 1)
		o := Options{Client: cl, Topic: topic, Number: field(t)}
		if r := run(t, o); rules(r) != "" || r.Records != 8 || r.Keys != 3 || r.Numbered != 8 {
			t.Fatalf("%d records of %d keys: %s", r.Records, r.Keys, rules(r))
		}

		// An audit with a state goes on where the last one came to.
		o.State = filepath.Join(t.TempDir(), "state")
		if r := run(t, o); rules(r) != "" || r.Records != 8 {
			t.Fatalf("%d records: %s", r.Records, rules(r))
		}
		write(cl, 1, "b", 5, 4, 5, 9)                                                                                           // 4 is late, 5 twice, 6 to 8 missing
		write(cl, 2, "a", 5)                                                                                                    // split, goes on
		must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 2, Value: []byte(`{"v":1}`)}).FirstErr())              // null key
		must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 2, Key: []byte("b"), Value: []byte(`{}`)}).FirstErr()) // no number
		must(t, txn.BeginTransaction())
		write(txn, 0, "a", 1, 1, 1) // open: not seen
		check := func(r *Report) {
			t.Helper()
			if got := rules(r); got != "K01 K02 L06 duplicate gap" {
				t.Errorf("found %s", got)
			}
			if len(r.Late.First) != 1 || r.Late.First[0].Number != 4 || r.Late.First[0].After != 5 || r.Late.First[0].Text != "b" || r.Late.First[0].PID < 0 {
				t.Errorf("late %+v", r.Late)
			}
			if len(r.Duplicates.First) != 1 || r.Duplicates.First[0].Number != 5 || r.Missing != 3 || r.Gaps.First[0].From != 6 || r.Gaps.First[0].To != 8 {
				t.Errorf("%+v, %+v", r.Duplicates, r.Gaps)
			}
			if len(r.Splits.First) != 2 || r.Splits.First[0].Text != "a" || len(r.Splits.First[0].In) != 2 || r.Splits.First[0].In[1].Partition != 2 {
				t.Errorf("%+v", r.Splits)
			}
			if r.NullKeys.Count != 1 || r.Unnumbered.Count != 1 || r.Records != 15 {
				t.Errorf("%+v, %+v, %d records", r.NullKeys, r.Unnumbered, r.Records)
			}
			if p := r.Producers[0]; p.Late != 1 || p.Twice != 1 || p.Partition != 1 || len(p.Keys) != 1 || p.Keys[0].Text != "b" || p.Records != 8 {
				t.Errorf("%+v", p)
			}
			if !strings.Contains(strings.Join(r.Unseen, "\n"), "open transactions") {
				t.Errorf("not seen: %v", r.Unseen)
			}
		}
		check(run(t, o))
		o.State = ""
		check(run(t, o))
		must(t, txn.EndTransaction(ctx, kgo.TryAbort))

		only := o
		only.Partitions = []int32{0, 2}
		if r := run(t, only); rules(r) != "K01 K02" || len(r.Partitions) != 2 {
			t.Errorf("two partitions: %s", rules(r))
		}
		only = o
		only.Keys = []string{"a"}
		if r := run(t, only); rules(r) != "K02" || r.Records != 5 {
			t.Errorf("one key: %s of %d records", rules(r), r.Records)
		}
		only = o
		only.Since = time.Now().Add(time.Hour)
		if r := run(t, only); rules(r) != "" || r.Records != 0 {
			t.Errorf("since later: %s of %d records", rules(r), r.Records)
		}
		only.Since = time.Now().Add(-time.Hour)
		if r := run(t, only); r.Records != 15 {
			t.Errorf("since earlier: %d records", r.Records)
		}

		r := run(t, o)
		var page, text bytes.Buffer
		must(t, r.WriteHTML(&page), r.Write(&text))
		raw, err := json.Marshal(r)
		must(t, err)
		for _, want := range []string{"number 4 after 5", "Who wrote them"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is not in %s", want, text.String())
			}
		}
		if strings.Contains(page.String(), "http") || strings.Contains(page.String(), "src=") || !strings.Contains(page.String(), "number 4 after 5") {
			t.Errorf("%s", page.String())
		}
		var back map[string]any
		must(t, json.Unmarshal(raw, &back))
		for _, name := range []string{"format", "late", "findings", "checked", "not_checked", "producers", "gaps", "splits"} {
			if back[name] == nil {
				t.Errorf("no %q in %s", name, raw)
			}
		}
		if back["fences"] != nil {
			t.Error("the state is in the report")
		}
	})
}

// orderly's own numbers: a restart is no fault, a writer that was replaced is one.
func TestSequenceHeaders(t *testing.T) {
	eachBroker(t, func(t *testing.T, addrs []string) {
		ctx := t.Context()
		cl := client(t, addrs, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		topic := newTopic(t, cl, 3, nil)
		for range 2 {
			p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: addrs, Sequence: orderly.SequenceHeaders{Enabled: true}})
			must(t, err)
			for i := range 20 {
				must(t, p.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%4), Value: []byte("x")}).FirstErr())
			}
			must(t, p.Close(ctx))
		}
		o := Options{Client: cl, Topic: topic}
		if r := run(t, o); rules(r) != "" || r.Numbered != 40 {
			t.Fatalf("%d of %d records numbered: %s", r.Numbered, r.Records, rules(r))
		}
		write := func(epoch, seq byte) {
			must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 1, Key: []byte("z"), Headers: []kgo.RecordHeader{
				{Key: headerWriter, Value: []byte("w")}, {Key: headerEpoch, Value: []byte{7: epoch}}, {Key: headerSeq, Value: []byte{7: seq}},
			}}).FirstErr())
		}
		write(1, 1)
		write(1, 2)
		write(2, 1)
		write(1, 3) // it was replaced
		write(2, 2)
		write(2, 4) // 3 is missing
		r := run(t, o)
		if rules(r) != "gap zombie" || r.Zombies.First[0].Writer != "w" || r.Zombies.First[0].Epoch != 1 || r.Zombies.First[0].Highest != 2 || r.Gaps.First[0].From != 3 {
			t.Errorf("%s: %+v, %+v", rules(r), r.Zombies, r.Gaps)
		}
	})
}

// By time, and in a compacted topic: what cannot be said is not said.
func TestTimesAndCompaction(t *testing.T) {
	eachBroker(t, func(t *testing.T, addrs []string) {
		ctx := t.Context()
		cl := client(t, addrs)
		compact := "compact"
		topic := newTopic(t, cl, 1, map[string]*string{"cleanup.policy": &compact})
		at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		for i, d := range []int{0, 5, 5, 3, 9} {
			must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, `{"v":%d}`, 2*i), Timestamp: at.Add(time.Duration(d) * time.Second)}).FirstErr())
		}
		r := run(t, Options{Client: cl, Topic: topic, Number: Numbering{ByTime: true}})
		if rules(r) != "L06" || r.Late.Count != 1 || r.Late.First[0].Offset != 3 || r.Findings[0].Severity != finding.Warn {
			t.Errorf("%s: %+v", rules(r), r.Late)
		}
		r = run(t, Options{Client: cl, Topic: topic, Number: field(t)})
		if rules(r) != "" || slices.Contains(r.Checked, "gap") || !slices.Contains(r.Checked, "duplicate") {
			t.Errorf("%s: checked %v", rules(r), r.Checked)
		}
	})
}

// Ended in the middle, an audit with a state says so and goes on from there.
func TestAnAuditThatIsInterruptedGoesOn(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	defer c.Close()
	cl := client(t, c.ListenAddrs())
	topic := newTopic(t, cl, 4, nil)
	var recs []*kgo.Record
	value := strings.Repeat("x", 2000)
	for i := range 20_000 {
		recs = append(recs, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%500), Value: fmt.Appendf(nil, `{"v":%d,"x":%q}`, i/500, value)})
	}
	must(t, cl.ProduceSync(t.Context(), recs...).FirstErr())
	o := Options{Client: cl, Topic: topic, Number: field(t), State: filepath.Join(t.TempDir(), "s"), Memory: 1 << 20, Limit: 10}
	why := errors.New("interrupted here")
	ctx, cancel := context.WithCancelCause(t.Context())
	// The clock jumps, so that progress is told after each piece; the second one ends it.
	start, told := time.Now(), 0
	var looks atomic.Int64
	o.Now = func() time.Time { return start.Add(time.Duration(looks.Add(1)) * 400 * time.Millisecond) }
	o.Progress = func(Progress) {
		if told++; told == 2 {
			cancel(why)
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, why) {
		t.Fatalf("%v", err)
	}
	info, err := os.Stat(o.State)
	must(t, err)
	o.Now, o.Progress = nil, nil
	r, err := Run(t.Context(), o)
	must(t, err)
	if r.Records != 20_000 || r.Keys != 500 || rules(r) != "" {
		t.Errorf("state of %d bytes: %d records of %d keys: %s", info.Size(), r.Records, r.Keys, rules(r))
	}
	o.Number = Numbering{ByTime: true}
	if _, err := Run(t.Context(), o); !errors.As(err, new(*StateError)) {
		t.Errorf("another number: %v", err)
	}
}

// What was deleted before it was read is said, and its gap is not called damage; a
// state of more than the topic has is refused.
func TestRecordsThatWentMeanwhile(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(t, err)
	defer c.Close()
	cl := client(t, c.ListenAddrs())
	topic := newTopic(t, cl, 1, nil)
	write := func(from, to int) {
		for n := from; n <= to; n++ {
			must(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, `{"v":%d}`, n)}).FirstErr())
		}
	}
	o := Options{Client: cl, Topic: topic, Number: field(t), State: filepath.Join(t.TempDir(), "s")}
	write(1, 5)
	if r := run(t, o); rules(r) != "" || r.Records != 5 {
		t.Fatalf("%d records: %s", r.Records, rules(r))
	}
	write(6, 10)
	cut := kadm.Offsets{}
	cut.AddOffset(topic, 0, 8, -1)
	_, err = kadm.NewClient(cl).DeleteRecords(t.Context(), cut)
	must(t, err)
	r := run(t, o)
	if rules(r) != "gap" || r.Missing != 3 || r.Findings[0].Severity != finding.Warn || len(r.Deleted) != 1 || !strings.Contains(strings.Join(r.Unseen, "\n"), "before offset 8") {
		t.Errorf("%s: %+v, %v, %v", rules(r), r.Gaps, r.Deleted, r.Unseen)
	}

	raw, err := os.ReadFile(o.State)
	must(t, err)
	must(t, os.WriteFile(o.State, bytes.Replace(raw, []byte(`"positions":{"0":10}`), []byte(`"positions":{"0":99}`), 1), 0o600))
	o.Memory, o.Limit = 1<<20, 10
	if _, err := Run(t.Context(), o); !errors.As(err, new(*StateError)) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("%v", err)
	}
}
