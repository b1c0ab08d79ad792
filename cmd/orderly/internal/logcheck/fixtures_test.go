package logcheck

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
)

// Logs that other clients wrote to real Kafka, with settings that are known:
// testdata/writers/README.md says which and how.
func TestWritersOfRecordedLogs(t *testing.T) {
	type writer struct {
		id            bool // it has a producer id
		transactional bool
		hash          string // "": none
	}
	idempotent := func(hash string) writer { return writer{true, false, hash} }
	plain := func(hash string) writer { return writer{false, false, hash} }
	want := map[string]struct {
		writers []writer // by producer id; those without one first
		errors  []string
	}{
		"librdkafka-default":            {[]writer{plain("crc32")}, []string{"L01"}},
		"librdkafka-idempotent-murmur2": {[]writer{idempotent("murmur2")}, nil},
		"librdkafka-fnv1a":              {[]writer{plain("fnv1a")}, []string{"L01"}},
		"librdkafka-transaction":        {[]writer{{true, true, "crc32"}}, nil},
		"kafka-python-default":          {[]writer{idempotent("murmur2")}, nil},
		"kafka-python-not-idempotent":   {[]writer{plain("murmur2")}, []string{"L01"}},
		"aiokafka-default":              {[]writer{plain("murmur2")}, []string{"L01"}},
		"aiokafka-idempotent":           {[]writer{idempotent("murmur2")}, nil},
		"kafkajs-default":               {[]writer{plain("murmur2")}, []string{"L01"}},
		"kafkajs-legacy":                {[]writer{plain("kafkajs-legacy")}, []string{"K06", "L01"}},
		"kafkajs-idempotent":            {[]writer{idempotent("murmur2")}, nil},
		"sarama-default":                {[]writer{plain("fnv1a")}, []string{"L01"}},
		"kafka-go-hash":                 {[]writer{plain("fnv1a")}, []string{"L01"}},
		"kafka-go-default":              {[]writer{plain("")}, []string{"L01"}},
		"split":                         {[]writer{plain("crc32"), idempotent("murmur2")}, []string{"K02", "K03", "L01"}},
	}
	files, err := filepath.Glob("testdata/writers/*.tar.gz")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d logs for %d expectations, %v", len(files), len(want), err)
	}
	for name, c := range want {
		t.Run(name, func(t *testing.T) {
			r := Check(recorded(t, name))
			defer func() {
				if t.Failed() {
					_ = r.Write(t.Output())
				}
			}()
			if r.Sample.Records != 200*int64(len(c.writers)) || r.Sample.Keys != 200 || len(r.Writers) != len(c.writers) {
				t.Fatalf("%d records of %d keys, %d writers", r.Sample.Records, r.Sample.Keys, len(r.Writers))
			}
			slices.SortFunc(r.Writers, func(a, b Writer) int { return int(a.ProducerID - b.ProducerID) })
			for i, w := range c.writers {
				got := r.Writers[i]
				if (got.ProducerID >= 0) != w.id || got.Transactional != w.transactional || got.Records != 200 {
					t.Errorf("%+v, want %+v", got, w)
				}
				// KafkaJS writes epoch 0 without a producer id, where others write -1.
				if w.id && (got.Epochs[0] != 0 || got.Epochs[1] != 0) {
					t.Errorf("epochs %v", got.Epochs)
				}
				switch {
				case w.hash == "":
					if len(got.Hashes) != 0 || !strings.Contains(got.Partitioner, "round robin") {
						t.Errorf("%+v, want no hash", got)
					}
				case len(got.Hashes) != 1 || got.Hashes[0].Hash != w.hash || len(got.Hashes[0].Same) != 0 || got.Hashes[0].Partitions != 12 || got.Unexplained != 0:
					t.Errorf("%+v, want %s", got, w.hash)
				}
			}
			if got := found(r, finding.Error); !slices.Equal(got, c.errors) {
				t.Errorf("errors %v, want %v", got, c.errors)
			}
			if got := found(r, finding.Warn); len(got) > 0 {
				t.Errorf("warnings %v", got)
			}
		})
	}
}

var segment = regexp.MustCompile(`-(\d+)/0+\.log$`)

// recorded is what is in a recorded topic.
func recorded(t *testing.T, name string) *Facts {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "writers", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	packed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	f := &Facts{Topic: name, Partitions: 12, Sample: wire.NewSample(12), Now: time.Now(), Window: time.Hour}
	for in := tar.NewReader(packed); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		m := segment.FindStringSubmatch(h.Name)
		if m == nil {
			t.Fatalf("%s is no segment", h.Name)
		}
		p, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		f.Sample.Begin(int32(p))
		next, err := f.take(logread.NewChunk(name, int32(p), raw))
		if err != nil {
			t.Fatal(err)
		}
		f.Read = append(f.Read, Read{Partition: int32(p), End: next, Offsets: offsets(0, next), Sampled: offsets(0, next), Whole: true})
	}
}
