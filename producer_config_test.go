package orderly_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestProducerConfigMinimal(t *testing.T) {
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"127.0.0.1:9092"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Weaker settings are refused by name, with the reason or the way out.
func TestProducerRefusesWeakerOptions(t *testing.T) {
	never := func(string, int32) {}
	for _, c := range []struct {
		name string
		why  string
		opts []kgo.Opt
	}{
		{"RequiredAcks", "always all", []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck())}},
		{"RequiredAcks", "always all", []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
		{"DisableIdempotentWrite", "always on", []kgo.Opt{kgo.DisableIdempotentWrite()}},
		{"MaxProduceRequestsInflightPerBroker", "set MaxInFlight", []kgo.Opt{kgo.MaxProduceRequestsInflightPerBroker(6)}},
		{"MaxProduceRequestsInflightPerBroker", "set MaxInFlight", []kgo.Opt{kgo.MaxProduceRequestsInflightPerBroker(6), kgo.DisableIdempotentWrite()}},
		{"AllowIdempotentProduceCancellation", "set DeliveryTimeout", []kgo.Opt{kgo.AllowIdempotentProduceCancellation()}},
		{"RecordRetries", "set DeliveryTimeout", []kgo.Opt{kgo.RecordRetries(3)}},
		{"RecordDeliveryTimeout", "set DeliveryTimeout", []kgo.Opt{kgo.RecordDeliveryTimeout(time.Minute)}},
		{"UnknownTopicRetries", "set DeliveryTimeout", []kgo.Opt{kgo.UnknownTopicRetries(1)}},
		{"RecordPartitioner", "murmur2", []kgo.Opt{kgo.RecordPartitioner(kgo.RoundRobinPartitioner())}},
		{"RecordPartitioner", "murmur2", []kgo.Opt{kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}},
		{"StopProducerOnDataLossDetected", "logged", []kgo.Opt{kgo.StopProducerOnDataLossDetected()}},
		{"ProducerOnDataLossDetected", "logged", []kgo.Opt{kgo.ProducerOnDataLossDetected(never)}},
		{"ManualFlushing", "call Flush", []kgo.Opt{kgo.ManualFlushing()}},
		{"ProducerLinger", "set Linger", []kgo.Opt{kgo.ProducerLinger(0)}},
		{"ProducerBatchMaxBytes", "set MaxBatchBytes", []kgo.Opt{kgo.ProducerBatchMaxBytes(5000)}},
		{"ProducerBatchMaxBytesFn", "set MaxBatchBytes", []kgo.Opt{kgo.ProducerBatchMaxBytesFn(func(string) int32 { return 1_000_012 })}},
		{"MaxBufferedRecords", "set Buffer.Records", []kgo.Opt{kgo.MaxBufferedRecords(1)}},
		{"MaxBufferedBytes", "set Buffer.Bytes", []kgo.Opt{kgo.MaxBufferedBytes(1)}},
		{"DefaultProduceTopic", "in each record", []kgo.Opt{kgo.DefaultProduceTopic("x")}},
		{"TransactionalID", "not supported", []kgo.Opt{kgo.TransactionalID("x")}},
		{"ConsumerGroup", "use a Consumer", []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t")}},
		{"ConsumeTopics", "use a Consumer", []kgo.Opt{kgo.ConsumeTopics("t")}},
	} {
		_, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"b:1"}, KafkaOpts: c.opts})
		var bad *orderly.ConfigError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := "kgo." + c.name + " is refused: "
		named := false
		for _, problem := range bad.Problems {
			named = named || strings.Contains(problem, want) && strings.Contains(problem, c.why)
		}
		if !named || len(bad.Problems) > len(c.opts) {
			t.Errorf("%s: %q does not name it with %q, or more than was set", c.name, bad.Problems, c.why)
		}
	}
}

func TestProducerAllowsHarmlessOptions(t *testing.T) {
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"b:1"}, KafkaOpts: []kgo.Opt{
		kgo.ClientID("mine"), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProduceRequestTimeout(5 * time.Second),
		kgo.MetadataMaxAge(time.Minute), kgo.DialTimeout(time.Second), kgo.AllowAutoTopicCreation(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close(t.Context())
}

func TestProducerConfigProblemsAllAtOnce(t *testing.T) {
	number := func(*kgo.Record) (int64, error) { return 1, nil }
	for want, cfg := range map[string]orderly.ProducerConfig{
		"Brokers is empty; MaxInFlight is 6: with more than 5 the broker can no longer put repeated batches in order; Linger; MaxBatchBytes; DeliveryTimeout; StartTimeout; Buffer.Records; Partitions[\"t\"]": {
			MaxInFlight: 6, Linger: time.Hour, MaxBatchBytes: 5, DeliveryTimeout: 1, StartTimeout: -1,
			Buffer: orderly.ProducerBuffer{Records: -1}, Partitions: map[string]int{"t": 0}},
		"Linger is 1s and DeliveryTimeout 1s: records would be given up before they are sent": {
			Brokers: []string{"b:1"}, Linger: time.Second, DeliveryTimeout: time.Second},
		"knows 5 and 1": {Brokers: []string{"b:1"}, MaxInFlight: 3},
		"without Sequence.Enabled": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Writer: "w"}},
		"Sequence.Writer is set without Sequence.Number or Sequence.NextEpoch": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Enabled: true, Writer: "w"}},
		"Sequence.Epoch is set without Sequence.Number": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Enabled: true, Epoch: 4}},
		"both Sequence.Number and Sequence.NextEpoch": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Enabled: true, Number: number, NextEpoch: func() (int64, error) { return 1, nil }}},
		"1 to 64 bytes": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Enabled: true, Writer: strings.Repeat("w", 65), Number: number}},
		"control characters": {
			Brokers: []string{"b:1"}, Sequence: orderly.SequenceHeaders{Enabled: true, Writer: "a\nb", Number: number}},
	} {
		_, err := orderly.NewProducer(cfg)
		var bad *orderly.ConfigError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", want, err)
			continue
		}
		for part := range strings.SplitSeq(want, "; ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %v", part, err)
			}
		}
	}
}

func TestProducerErrorsSayWhatToDo(t *testing.T) {
	changed := &orderly.PartitionsChangedError{Topic: "orders", Old: 6, New: 12, Moves: 0.5}
	for _, want := range []string{"orders", "6", "12", "50 %", "ProducerConfig.Partitions"} {
		if !strings.Contains(changed.Error(), want) {
			t.Errorf("%q is not in %v", want, changed)
		}
	}
	rec := &kgo.Record{Timestamp: time.UnixMilli(1_700_000_000_123), Value: make([]byte, 7)}
	closed := &orderly.KeyClosedError{Topic: "orders", Partition: 3, Key: []byte("k"), First: rec, Refused: true,
		Outcome: orderly.ErrNotWritten, Err: someError{}}
	if !errors.Is(closed, orderly.ErrNotWritten) || errors.Is(closed, orderly.ErrMaybeWritten) || !errors.Is(closed, someError{}) {
		t.Error("outcome or cause is lost")
	}
	for _, want := range []string{"orders", "partition 3", `"k"`, "Clear", "digest"} {
		if !strings.Contains(closed.Error(), want) {
			t.Errorf("%q is not in %v", want, closed)
		}
	}
}

type someError struct{}

func (someError) Error() string { return "digest" }
