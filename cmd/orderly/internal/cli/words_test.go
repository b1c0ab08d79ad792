package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What the library says of its settings and calls, the command says of its flags.
func TestErrorsInTheWordsOfTheCommand(t *testing.T) {
	b := orderlytest.NewBroker(t, "t")
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: b.Addrs(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	large := &kgo.Record{Topic: "t", Key: []byte("k"), Value: make([]byte, 2_000_000)}
	res := p.ProduceSync(t.Context(), large, &kgo.Record{Topic: "t", Key: []byte("k")})
	away, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"127.0.0.1:1"}, StartTimeout: time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = away.Close(t.Context()) }()
	silent, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		silent.KeepControl()
		return nil, nil, true
	})
	late, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: silent.ListenAddrs(), DeliveryTimeout: 100 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	defer func() { _ = late.Close(now) }()
	_, config := orderly.NewConsumer(orderly.ConsumerConfig{Brokers: []string{"b:1"}, Group: "g", Topics: []string{"t"}, SessionTimeout: time.Millisecond,
		Retry: orderly.Retry{Backoff: time.Hour, MaxBackoff: time.Minute, MaxAttempts: -1}})
	names := regexp.MustCompile(`\b(MaxBatchBytes|DeliveryTimeout|StartTimeout|SessionTimeout|Clear|Reset|Reset[A-Z]\w*|ProducerConfig|Partitions|MigrateFrom|Retry|new producer)\b`)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"too large":       {res[0].Err, "the smaller of --max-record-bytes and the topic's max.message.bytes"},
		"behind it":       {res[1].Err, "record refused (not written)"},
		"no answer":       {late.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Key: []byte("k")})[0].Err, "within --delivery-timeout (100ms)"},
		"nobody answers":  {away.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Key: []byte("k")})[0].Err, "are they the right addresses"},
		"grown":           {&orderly.PartitionsChangedError{Topic: `a"b`, Old: 2, New: 3}, ""},
		"grown, plain":    {&orderly.PartitionsChangedError{Topic: "t", Old: 2, New: 3}, "Set --partitions 2 to keep keys where they are"},
		"fewer":           {&orderly.PartitionsChangedError{Topic: "t", Old: 3, New: 2}, "set --partitions to what it had"},
		"created again":   {&orderly.TopicRecreatedError{Topic: "t", Old: "a", New: "b"}, "start again to read"},
		"out of range":    {&orderly.OffsetRangeError{Topic: "t", Offset: 1, Start: 2, End: 3}, "set --reset earliest or --reset latest"},
		"configuration":   {config, "--session-timeout is 1ms"},
		"anything's text": {errors.New("MaxBatchBytes"), "MaxBatchBytes"},
	} {
		if c.err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		got := errorText(&commandError{fmt.Errorf("doing: %w", c.err)})
		if !strings.Contains(got, c.want) || name != "anything's text" && name != "grown" && names.MatchString(got) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Each phrase is one of the library: none has changed there alone.
func TestPhrasesAreTheLibrarys(t *testing.T) {
	const root = "../../../../"
	var source strings.Builder
	for _, pattern := range []string{"*.go", "internal/group/*.go"} {
		files, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				source.Write(read(t, f))
			}
		}
	}
	text := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(source.String(), "")
	for i := 0; i < len(phrases); i += 2 {
		if !strings.Contains(text, phrases[i]) {
			t.Errorf("%q is not in the library", phrases[i])
		}
	}
	if !strings.Contains(text, "Set ProducerConfig.Partitions[%q] = %d") {
		t.Error("the way out of a grown topic has changed")
	}
}
