package logcheck

import (
	"context"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A lab is a topic of its own on a real broker.
type lab struct {
	t     *testing.T
	addrs []string
	cl    *kgo.Client
	topic string
}

func (l *lab) java(from, to int, settings ...string) {
	l.t.Helper()
	args := append([]string{strings.Join(l.addrs, ","), l.topic, strconv.Itoa(from), strconv.Itoa(to)}, settings...)
	cmd, err := kafkatest.JavaSource(l.t.Context(), kafkatest.Latest, "testdata/Write.java", args...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.run(cmd)
}

func (l *lab) run(cmd *exec.Cmd) {
	l.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
}

// goes writes one record for each of the keys with franz-go.
func (l *lab) goes(keys []string, opts ...kgo.Opt) {
	l.t.Helper()
	cl := l.client(opts...)
	defer cl.Close()
	var recs []*kgo.Record
	for _, k := range keys {
		r := &kgo.Record{Topic: l.topic, Value: []byte("v")}
		if k != "" {
			r.Key = []byte(k)
		}
		recs = append(recs, r)
	}
	if err := cl.ProduceSync(l.t.Context(), recs...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) client(opts ...kgo.Opt) *kgo.Client {
	l.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(l.addrs...)}, opts...)...)
	if err != nil {
		l.t.Fatal(err)
	}
	return cl
}

func keys(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("key-%d", i))
	}
	return all
}

func (l *lab) look() *Report {
	l.t.Helper()
	f, err := Collect(l.t.Context(), l.cl, Options{Topic: l.topic, Sample: 10_000, Window: time.Hour, Now: time.Now()})
	if err != nil {
		l.t.Fatal(err)
	}
	return Check(f)
}

// found are the rules of a severity.
func found(r *Report, severity string) (ids []string) {
	for _, f := range r.Findings {
		if f.Severity == severity {
			ids = append(ids, f.Rule)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func fnv1a(b []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(b)
	return h.Sum32()
}

func hashed(h kgo.PartitionerHasher) kgo.Opt {
	return kgo.RecordPartitioner(kgo.StickyKeyPartitioner(h))
}

var plain = []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck())}

// Real writers with settings that are known, on real Kafka.
func TestWritersAreRecognised(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	addrs := kafkatest.Shared()
	if addrs == nil {
		c, err := kafkatest.Start(t.Context(), kafkatest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		addrs = c.Addrs()
	}
	crc := hashed(kgo.SaramaHasher(crc32.ChecksumIEEE))
	for name, c := range map[string]struct {
		write        func(l *lab)
		errors, warn []string
		check        func(t *testing.T, r *Report)
	}{
		"the Java client as it comes": {func(l *lab) { l.java(0, 2000) }, nil, nil, func(t *testing.T, r *Report) {
			w := r.Writers[0]
			if len(r.Writers) != 1 || w.ProducerID < 0 || w.Records != 2000 || w.Transactional || len(w.Hashes) != 1 || w.Hashes[0].Hash != "murmur2" || w.Hashes[0].Partitions != 12 || w.Unexplained != 0 {
				t.Errorf("%+v", r.Writers)
			}
		}},
		"the Java client with acks=1": {func(l *lab) { l.java(0, 500, "acks=1") }, []string{"L01"}, nil, func(t *testing.T, r *Report) {
			if w := r.Writers[0]; w.ProducerID != -1 || w.Hashes[0].Hash != "murmur2" {
				t.Errorf("%+v", w)
			}
		}},
		"Java transactions, some aborted": {func(l *lab) { l.java(0, 1200, "transactional.id="+l.topic) }, nil, nil, func(t *testing.T, r *Report) {
			if w := r.Writers[0]; !w.Transactional || w.Records != 1200 || w.Epochs[1] == w.Epochs[0] {
				t.Errorf("%+v", w)
			}
		}},
		"franz-go as it comes": {func(l *lab) { l.goes(keys(0, 500)) }, nil, nil, func(t *testing.T, r *Report) {
			if w := r.Writers[0]; w.ProducerID < 0 || w.Hashes[0].Hash != "murmur2" {
				t.Errorf("%+v", w)
			}
		}},
		"Sarama's hash, not idempotent": {func(l *lab) { l.goes(keys(0, 500), append(plain, hashed(kgo.SaramaCompatHasher(fnv1a)))...) }, []string{"L01"}, nil, func(t *testing.T, r *Report) {
			if w := r.Writers[0]; w.Hashes[0].Hash != "fnv1a" || len(w.Hashes[0].Same) != 0 {
				t.Errorf("%+v", w)
			}
		}},
		"two clients, two hashes, the same keys": {func(l *lab) { l.java(0, 300); l.goes(keys(0, 300), crc) }, []string{"K02", "K03"}, nil, func(t *testing.T, r *Report) {
			i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Rule == "K02" })
			proof := r.Findings[i].Where[0]
			if !strings.Contains(proof, "(murmur2)") || !strings.Contains(proof, "(crc32)") || !strings.Contains(proof, "offset") {
				t.Errorf("the proof: %s", proof)
			}
		}},
		"partitions are added": {func(l *lab) {
			l.goes(keys(0, 400))
			if _, err := kadm.NewClient(l.cl).UpdatePartitions(l.t.Context(), 18, l.topic); err != nil {
				l.t.Fatal(err)
			}
			l.goes(keys(0, 400))
		}, []string{"K02", "K04"}, nil, func(t *testing.T, r *Report) {
			i := slices.IndexFunc(r.Findings, func(f finding.Finding) bool { return f.Rule == "K04" })
			if !strings.Contains(r.Findings[i].What, "among 12 partitions, and the topic has 18") {
				t.Errorf("%+v", r.Findings[i])
			}
		}},
		"two producers in turn": {func(l *lab) {
			a, b := l.client(), l.client()
			defer a.Close()
			defer b.Close()
			for i := range 10 {
				for _, cl := range []*kgo.Client{a, b} {
					if err := cl.ProduceSync(l.t.Context(), &kgo.Record{Topic: l.topic, Key: []byte("k"), Value: []byte{byte(i)}}).FirstErr(); err != nil {
						l.t.Fatal(err)
					}
				}
			}
		}, []string{"L03"}, nil, nil},
		"null keys": {func(l *lab) { l.goes(append(keys(0, 200), make([]string, 50)...)) }, []string{"K01"}, nil, nil},
		"keys are not used": {func(l *lab) {
			l.goes(append(keys(0, 100), keys(0, 100)...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		}, []string{"K02", "K05"}, nil, func(t *testing.T, r *Report) {
			if w := r.Writers[0]; len(w.Hashes) != 0 || !strings.Contains(w.Partitioner, "round robin") {
				t.Errorf("%+v", w)
			}
		}},
		"an empty topic": {func(*lab) {}, nil, nil, func(t *testing.T, r *Report) {
			if len(r.Checked) != 0 || len(r.NotChecked) == 0 {
				t.Errorf("checked %v", r.Checked)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			l := &lab{t, addrs, cl, kafkatest.Name(t, "log")}
			if _, err := kadm.NewClient(cl).CreateTopic(context.WithoutCancel(t.Context()), 12, 1, nil, l.topic); err != nil {
				t.Fatal(err)
			}
			c.write(l)
			r := l.look()
			if got := found(r, finding.Error); !slices.Equal(got, c.errors) {
				t.Errorf("errors %v, want %v", got, c.errors)
			}
			if got := found(r, finding.Warn); !slices.Equal(got, c.warn) {
				t.Errorf("warnings %v, want %v", got, c.warn)
			}
			if c.check != nil {
				c.check(t, r)
			}
			if t.Failed() {
				_ = r.Write(t.Output())
			}
		})
	}
}
