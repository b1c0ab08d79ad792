package orderly

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProducerConfig configures a Producer. Zero values are the safe defaults.
type ProducerConfig struct {
	// Brokers are seed addresses, host:port. Required.
	Brokers []string

	// Partitions fixes, by topic, over how many partitions keys are spread. When
	// the topic grows they stay on those, and the others stay empty. Default: the
	// number that the topic has when the producer first sees it; when it
	// changes, the producer stops with a PartitionsChangedError.
	Partitions map[string]int
	// AllowNullKey and AllowEmptyKey let records without a key, or with one of
	// no bytes, through. Default: refused. Null keys are one sequence in each
	// partition, and are dealt out to all of them; the empty key is a key.
	AllowNullKey  bool
	AllowEmptyKey bool

	// MaxInFlight is how many requests may be under way to one broker: 5, or 1.
	// Of one partition there is never more than one. With 1 the client speaks
	// version 3 of the produce request, which has no zstd, and a topic that was
	// created anew is noticed at the next refresh of the metadata only. Default 5.
	MaxInFlight int
	// Linger waits for more records before an idle partition sends. Default 0:
	// not at all; while a batch is under way the next one gathers. At most 1
	// min, and less than DeliveryTimeout, of which it takes no more than half.
	Linger time.Duration
	// MaxBatchBytes bounds a batch before compression, and so a record. A
	// smaller max.message.bytes of the topic counts instead, where it may be
	// read. Default 1,000,012, Kafka's own; from 1 KiB to 1 GiB.
	MaxBatchBytes int
	// DeliveryTimeout is how long a record may take from Produce to its
	// acknowledgement; then it has failed, and its key is closed. Default 2 min;
	// from 100 ms to 24 h.
	DeliveryTimeout time.Duration
	// StartTimeout is how long the first record of a topic waits for a broker to
	// answer. Default: DeliveryTimeout.
	StartTimeout time.Duration
	// Buffer bounds what is accepted and not yet answered. Produce waits for room.
	Buffer ProducerBuffer

	// Sequence adds headers with a number for each record of a key. Default: none.
	Sequence SequenceHeaders

	// Logger takes log lines. Default: slog.Default().
	Logger *slog.Logger
	// KafkaOpts are further options of the franz-go client: TLS, SASL, Dialer,
	// ClientID, ProducerBatchCompression and the like. Options that would break
	// the contract are refused by name.
	KafkaOpts []kgo.Opt
}

// ProducerBuffer bounds what a Producer has accepted and not yet answered.
type ProducerBuffer struct {
	Records int   // default 50,000
	Bytes   int64 // keys, values, headers, and 256 for each record; default 64 MiB
}

// SequenceHeaders number the records of each key, in the headers of
// docs/sequence-headers.md, so that consumers notice duplicates and gaps.
type SequenceHeaders struct {
	// Enabled adds the headers.
	Enabled bool
	// Writer is the writer's id: 1 to 64 bytes of UTF-8. No two producers that
	// run at the same time may share one. Default: random for each producer.
	// With an id of your own, set Number or NextEpoch: the numbers must go on
	// after a restart, or the epoch be a higher one.
	Writer string
	// Epoch is the writer epoch under which Number gives its numbers. Default 1.
	Epoch int64
	// Number gives the number of a record: 1 and up, one higher for each record
	// of a key. It is called by Produce under the lock of the record's partition:
	// what it waits for, the partition waits for, and it must not call the
	// producer. Default: counted by the producer.
	Number func(*kgo.Record) (int64, error)
	// NextEpoch returns an epoch that is higher than all that it returned
	// before, also before a restart: it has to be stored. It is called for the
	// first record of each partition, and when Keys is reached, by Produce, one
	// call at a time, under the lock of the partition. It may block: Produce does
	// so then for this partition, as well as the sending of what it has; and it
	// must not call the producer. Default: 1, 2, 3 ..., with a random Writer only.
	NextEpoch func() (int64, error)
	// Keys is how many keys of one partition are counted; one more raises the
	// epoch, and all counts of the partition begin anew under it. About 100
	// bytes each. As many failed records of it may be sent again with the number
	// that they have. Default 1,000,000.
	Keys int
}

func (c ProducerConfig) withDefaults() ProducerConfig {
	orDefault(&c.MaxInFlight, 5)
	orDefault(&c.MaxBatchBytes, 1_000_012)
	orDefault(&c.DeliveryTimeout, 2*time.Minute)
	orDefault(&c.StartTimeout, c.DeliveryTimeout)
	orDefault(&c.Buffer.Records, 50_000)
	orDefault(&c.Buffer.Bytes, max(64<<20, int64(c.MaxBatchBytes)))
	orDefault(&c.Sequence.Keys, 1_000_000)
	orDefault(&c.Logger, slog.Default())
	return c
}

// validate returns all problems of a configuration that has its defaults.
func (c *ProducerConfig) validate() error {
	var ps []string
	bad := func(format string, args ...any) { ps = append(ps, fmt.Sprintf(format, args...)) }

	if len(c.Brokers) == 0 {
		bad("Brokers is empty: name at least one seed broker, host:port")
	}
	for _, b := range c.Brokers {
		if strings.TrimSpace(b) == "" {
			bad("Brokers has an empty address: each is host:port")
		}
	}
	for _, t := range slices.Sorted(maps.Keys(c.Partitions)) {
		within(bad, true, fmt.Sprintf("Partitions[%q]", t), c.Partitions[t], 1, 1_000_000)
	}
	switch {
	case c.MaxInFlight > 5:
		bad("MaxInFlight is %d: with more than 5 the broker can no longer put repeated batches in order; set 5, or 1", c.MaxInFlight)
	case c.MaxInFlight != 1 && c.MaxInFlight != 5:
		bad("MaxInFlight is %d: the client knows 5 and 1", c.MaxInFlight)
	}
	within(bad, true, "Linger", c.Linger, 0, time.Minute)
	if c.Linger > 0 && c.Linger <= time.Minute && c.Linger >= c.DeliveryTimeout {
		bad("Linger is %s and DeliveryTimeout %s: records would be given up before they are sent; set a smaller Linger, or a larger DeliveryTimeout",
			c.Linger, c.DeliveryTimeout)
	}
	within(bad, true, "MaxBatchBytes", c.MaxBatchBytes, 1<<10, 1<<30)
	within(bad, true, "DeliveryTimeout", c.DeliveryTimeout, 100*time.Millisecond, 24*time.Hour)
	within(bad, true, "StartTimeout", c.StartTimeout, time.Millisecond, 24*time.Hour)
	within(bad, true, "Buffer.Records", c.Buffer.Records, 1, 100_000_000)
	within(bad, true, "Buffer.Bytes (at least MaxBatchBytes)", c.Buffer.Bytes, int64(c.MaxBatchBytes), 1<<40)
	c.Sequence.validate(bad)
	ps = append(ps, refusedProducerOpts(c.KafkaOpts)...)
	if len(ps) > 0 {
		return &ConfigError{Problems: ps}
	}
	return nil
}

func (s *SequenceHeaders) validate(bad func(string, ...any)) {
	if !s.Enabled {
		if s.Writer != "" || s.Epoch != 0 || s.Number != nil || s.NextEpoch != nil {
			bad("Sequence has settings without Sequence.Enabled: set it, or remove them")
		}
		return
	}
	if problem := badWriter(s.Writer); s.Writer != "" && problem != "" {
		bad("Sequence.Writer %q %s", s.Writer, problem)
	}
	switch {
	case s.Number != nil && s.NextEpoch != nil:
		bad("both Sequence.Number and Sequence.NextEpoch are set: NextEpoch is for the numbers that the producer counts itself")
	case s.Number == nil && s.Epoch != 0:
		bad("Sequence.Epoch is set without Sequence.Number: numbers that the producer counts itself begin anew at each start, " +
			"so that an epoch must never come again; set Sequence.NextEpoch")
	case s.Writer != "" && s.Number == nil && s.NextEpoch == nil:
		bad("Sequence.Writer is set without Sequence.Number or Sequence.NextEpoch: after a restart the numbers would begin anew " +
			"in the same epoch and be taken for duplicates")
	}
	if s.Epoch < 0 {
		bad("Sequence.Epoch is %d: epochs are 1 and up", s.Epoch)
	}
	within(bad, true, "Sequence.Keys", s.Keys, 1, 1_000_000_000)
}

// A keptPartitioner tells a client with a partitioner of the user's from one
// without: the default one cannot be compared.
type keptPartitioner struct{ kgo.Partitioner }

var refusedForProducer = []struct {
	name string
	opt  any
	why  string
}{
	{"SeedBrokers", kgo.SeedBrokers, "set Brokers"},
	{"RequiredAcks", kgo.RequiredAcks, "with fewer than all acknowledgements a record that was acknowledged can be lost under later ones; it is always all"},
	{"DisableIdempotentWrite", kgo.DisableIdempotentWrite, "without it a repeated batch is written twice, or behind a later one; it is always on"},
	{"MaxProduceRequestsInflightPerBroker", kgo.MaxProduceRequestsInflightPerBroker, "set MaxInFlight to 5 or 1"},
	{"AllowIdempotentProduceCancellation", kgo.AllowIdempotentProduceCancellation, "it gives a record up whose outcome is unknown, and what follows may be written behind it twice; set DeliveryTimeout"},
	{"RecordRetries", kgo.RecordRetries, "it gives records up in the middle of a key; set DeliveryTimeout"},
	{"RecordDeliveryTimeout", kgo.RecordDeliveryTimeout, "set DeliveryTimeout, which closes the key"},
	{"UnknownTopicRetries", kgo.UnknownTopicRetries, "it gives records up in the middle of a key; set DeliveryTimeout"},
	{"RecordPartitioner", kgo.RecordPartitioner, "keys go where the Java client puts them (murmur2), and stay there; set Partitions to fix over how many partitions"},
	{"StopProducerOnDataLossDetected", kgo.StopProducerOnDataLossDetected, "the client would never write again; the loss is logged instead"},
	{"ProducerOnDataLossDetected", kgo.ProducerOnDataLossDetected, "the loss is logged"},
	{"ManualFlushing", kgo.ManualFlushing, "call Flush; to wait for more records set Linger"},
	{"ProducerLinger", kgo.ProducerLinger, "set Linger"},
	{"ProducerBatchMaxBytes", kgo.ProducerBatchMaxBytes, "set MaxBatchBytes"},
	{"ProducerBatchMaxBytesFn", kgo.ProducerBatchMaxBytesFn, "set MaxBatchBytes; a topic's own limit is asked for"},
	{"MaxBufferedRecords", kgo.MaxBufferedRecords, "set Buffer.Records"},
	{"MaxBufferedBytes", kgo.MaxBufferedBytes, "set Buffer.Bytes"},
	{"DefaultProduceTopic", kgo.DefaultProduceTopic, "name the topic in each record"},
	{"DefaultProduceTopicAlways", kgo.DefaultProduceTopicAlways, "name the topic in each record"},
	{"TransactionalID", kgo.TransactionalID, "Kafka transactions are not supported"},
	{"ConsumerGroup", kgo.ConsumerGroup, "a Producer does not consume; use a Consumer"},
	{"ShareGroup", kgo.ShareGroup, "a Producer does not consume; use a Consumer"},
	{"ConsumeTopics", kgo.ConsumeTopics, "a Producer does not consume; use a Consumer"},
	{"ConsumePartitions", kgo.ConsumePartitions, "a Producer does not consume; use a Consumer"},
	{"ConsumeRegex", kgo.ConsumeRegex, "a Producer does not consume; use a Consumer"},
}

// refusedProducerOpts compares what the options set with a client that has none.
// The clients do not connect to anything.
func refusedProducerOpts(opts []kgo.Opt) (problems []string) {
	if len(opts) == 0 {
		return nil
	}
	kept := kgo.RecordPartitioner(&keptPartitioner{})
	plain, err := kgo.NewClient(kept)
	if err != nil {
		return []string{fmt.Sprintf("KafkaOpts cannot be checked: %v", err)}
	}
	defer plain.Close()
	unsure := ""
	given, err := kgo.NewClient(slices.Concat([]kgo.Opt{kept}, opts)...)
	if err != nil {
		// The client refuses weaker settings as long as it is idempotent, and
		// consumer settings in half: make it take them, to name them below.
		for _, with := range []struct {
			name string
			opts []kgo.Opt
		}{
			{"DisableIdempotentWrite", []kgo.Opt{kgo.DisableIdempotentWrite()}},
			{"ConsumerGroup", []kgo.Opt{kgo.ConsumerGroup("check"), kgo.ConsumeTopics("check")}},
		} {
			if g, again := kgo.NewClient(slices.Concat([]kgo.Opt{kept}, opts, with.opts)...); again == nil {
				given, unsure = g, with.name
				break
			}
		}
		if given == nil {
			return []string{fmt.Sprintf("KafkaOpts: %v", err)}
		}
	}
	defer given.Close()
	maxBytesNamed := false
	for _, r := range refusedForProducer {
		a, b := plain.OptValues(r.opt), given.OptValues(r.opt)
		if same(a, b) {
			continue
		}
		if r.name == unsure || unsure == "ConsumerGroup" && r.name == "ConsumeTopics" {
			continue
		}
		// Both names stand for one function.
		if r.name == "ProducerBatchMaxBytes" {
			maxBytesNamed = true
		}
		if r.name == "ProducerBatchMaxBytesFn" && maxBytesNamed {
			continue
		}
		problems = append(problems, fmt.Sprintf("KafkaOpts: kgo.%s is refused: %s", r.name, r.why))
	}
	if len(problems) == 0 && err != nil {
		return []string{fmt.Sprintf("KafkaOpts: %v", err)}
	}
	return problems
}
