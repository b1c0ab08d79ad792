package orderly_test

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noteAhead writes a note for partition 0 of a stopped group that says that an offset is
// done, as it is or as change has it, and commits its place. It returns that.
func noteAhead(t *testing.T, b *orderlytest.Broker, g *orderlytest.Group, topic string, done int64, change func(*kgo.Record)) progress.Note {
	t.Helper()
	meta, at := committedMeta(t, b, g, topic)
	e := &parking.Entry{Kind: parking.KindProgress, Token: meta.Token, Seq: 1000, Progress: &parking.ProgressBody{UpTo: done + 1, Ahead: []parking.Span{{From: done, To: done + 1}}}}
	raw, err := parking.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: parkingTopic(t, g, topic), Value: raw.Value}
	for _, h := range raw.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if change != nil {
		change(r)
	}
	if err := b.Client().ProduceSync(patient(t), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	note := progress.Note{Pos: r.Offset, Token: e.Token, Seq: e.Seq}
	meta.Extra = progress.WithNote(meta.Extra, &note, meta.Token)
	text, _, err := progress.Encode(at, meta, progress.DefaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Admin().CommitAllOffsets(t.Context(), g.Name(), kadm.Offsets{topic: {0: {Topic: topic, At: at, LeaderEpoch: -1, Metadata: text}}}); err != nil {
		t.Fatal(err)
	}
	return note
}

// committedMeta is what the group has committed of partition 0.
func committedMeta(t *testing.T, b *orderlytest.Broker, g *orderlytest.Group, topic string) (progress.Meta, int64) {
	t.Helper()
	offsets, err := b.Admin().FetchOffsets(t.Context(), g.Name())
	if err != nil {
		t.Fatal(err)
	}
	o, _ := offsets.Lookup(topic, 0)
	meta, err := progress.Decode(o.At, o.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	return meta, o.At
}

// noted is a stopped group that has committed the first record of both its partitions.
func noted(t *testing.T, b *orderlytest.Broker, c *calls) (g *orderlytest.Group, topic string) {
	t.Helper()
	topic = newTopic(t, b, 2)
	g = b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle, KafkaOpts: []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}})
	m := g.Start()
	b.Produce(topic, orderlytest.Msg("a", "0").Partition(0), orderlytest.Msg("z", "0").Partition(1))
	committed(t, b, m, topic, 0, 1)
	committed(t, b, m, topic, 1, 1)
	stopAll(t, m)
	return g, topic
}

// The note that a commit names holds bytes of something else, or is of a newer release:
// its partition waits by name, with the way out, the others run, and the commits of who
// cannot read it go on to name it.
func TestNoteThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, is := range map[string]struct {
		change func(*kgo.Record)
		says   string
	}{
		"foreign": {func(r *kgo.Record) { r.Headers, r.Value = nil, []byte("not an entry") }, "no entry of a parking topic"},
		"cut":     {func(r *kgo.Record) { r.Value = r.Value[:len(r.Value)-1] }, "the note is cut short"},
		"newer": {func(r *kgo.Record) {
			r.Headers[0].Value = bytes.Replace(r.Headers[0].Value, []byte(`"v":1`), []byte(`"v":9`), 1)
		}, "run the newer release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t)
			c := &calls{}
			g, topic := noted(t, b, c)
			note := noteAhead(t, b, g, topic, 2, is.change)
			b.Produce(topic, orderlytest.Msg("a", "1").Partition(0), orderlytest.Msg("z", "1").Partition(1))
			var warnings seen[orderly.WarningEvent]
			m := g.Start(func(cfg *orderly.ConsumerConfig) { cfg.Events.Warning = warnings.add })
			committed(t, b, m, topic, 1, 2)
			b.Eventually("the partition to wait by name", func() bool {
				p, ok := stateOf(m, topic, 0)
				return ok && slices.Equal(p.Reasons, []string{"parking-damaged"}) && strings.Contains(p.Parking.Cause, is.says) &&
					strings.Contains(p.Parking.Cause, "orderly offsets reset -g "+g.Name()+" -t "+topic+" --partitions 0 ")
			})
			b.Eventually("the warning", func() bool {
				return warnings.any(func(w orderly.WarningEvent) bool {
					return w.Code == "parking-damaged" && strings.Contains(w.Message, is.says)
				})
			})
			stopAll(t, m)
			if got := c.of("a"); !slices.Equal(got, []string{"0"}) {
				t.Errorf("handled without knowing what is done: %v", got)
			}
			meta, at := committedMeta(t, b, g, topic)
			if named := progress.NoteOf(meta.Extra, meta.Token); at != 1 || named == nil || *named != note {
				t.Errorf("at offset %d the commit names %+v", at, named)
			}
			r := orderly.OffsetReset{Topic: topic, Partitions: []int32{0}, To: orderly.ToOffset(1), Parked: orderly.ParkedDrop, Reason: "given up"}
			if _, err := newAdmin(t, b, g).ResetOffsets(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			m = g.Start()
			committed(t, b, m, topic, 0, 2)
			stopAll(t, m)
		})
	}
}

// A note that cannot be read now holds its own partition by name, and when it can be read,
// what it says is done does not come again.
func TestNoteThatIsReadLater(t *testing.T) {
	t.Parallel()
	refuses := func(key kmsg.Key) func(*testing.T, *kfake.Cluster, string) func() {
		return func(_ *testing.T, fk *kfake.Cluster, parking string) func() {
			return fk.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: parking, Partitions: []int32{0}, Err: kerr.NotLeaderForPartition, Count: -1}).Remove
		}
	}
	for name, is := range map[string]struct {
		hide func(t *testing.T, fk *kfake.Cluster, parking string) (show func())
		says string
	}{
		"refused":   {refuses(kmsg.Fetch), "a note of the parking topic"},
		"nothing":   {returnsNothing, "a note of the parking topic"},
		"no leader": {refuses(kmsg.ListOffsets), "the parking topic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fk := fake(t)
			b := orderlytest.Dial(t, fk.ListenAddrs()...)
			c := &calls{}
			g, topic := noted(t, b, c)
			noteAhead(t, b, g, topic, 2, nil)
			for i, key := range []string{"a", "b", "c"} { // offsets 1, 2 and 3
				b.Produce(topic, orderlytest.Msg(key, numbers(i+1, 1)[0]).Partition(0))
			}
			b.Produce(topic, orderlytest.Msg("z", "1").Partition(1))
			show := is.hide(t, fk, parkingTopic(t, g, topic))
			var regranted, assigned atomic.Int64
			m := g.Start(func(cfg *orderly.ConsumerConfig) {
				cfg.Events.Assigned = func(e orderly.AssignedEvent) {
					switch {
					case e.Partition == 0 && e.Regranted:
						regranted.Add(1)
					case e.Partition == 1 && !e.Regranted:
						assigned.Add(1)
					}
				}
			})
			committed(t, b, m, topic, 1, 2)
			b.Eventually("the partition to wait by name", func() bool {
				p, ok := stateOf(m, topic, 0)
				return ok && slices.Equal(p.Reasons, []string{"parking-unreadable"}) && strings.Contains(p.Parking.Cause, is.says)
			})
			b.Eventually("it to be looked for again", func() bool { return regranted.Load() > 1 })
			show()
			committed(t, b, m, topic, 0, 4)
			stopAll(t, m)
			if n := assigned.Load(); n != 2 {
				t.Errorf("the other partition was assigned %d times: want once more, when the note can be read", n)
			}
			if a, done := c.of("a"), c.of("b"); !slices.Equal(a, []string{"0", "1"}) || len(done) != 0 || len(c.of("c")) != 1 {
				t.Errorf("a %v, b %v, c %v", a, done, c.of("c"))
			}
		})
	}
}

// returnsNothing has a leader that does not know yet how far its log counts.
func returnsNothing(t *testing.T, fk *kfake.Cluster, parking string) (show func()) {
	id := fk.TopicInfo(parking).TopicID
	var over atomic.Bool
	fk.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fk.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		if over.Load() || len(fetch.Topics) != 1 || fetch.Topics[0].TopicID != id || fetch.Topics[0].Partitions[0].Partition != 0 {
			return nil, nil, false
		}
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		topic.TopicID, topic.Partitions = id, []kmsg.FetchResponseTopicPartition{partition}
		resp.Topics = []kmsg.FetchResponseTopic{topic}
		return resp, nil, true
	})
	return func() { over.Store(true) }
}
