//go:build synctests

package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const letterTopic = topicName + "-dlt"

// letters is what the brokers have written to the dead-letter topic, whether or not
// the answer reached anybody, and whether or not the topic was deleted since.
type letters struct {
	source [16]byte // id of the topic whose records fail; zero: there are no dead letters

	mu      sync.Mutex
	written map[letterID]record
	at      map[letterPlace]bool
}

// A letterID is the same when the client sends a letter again that it has no answer
// to.
type letterID struct {
	topic     string
	partition int32
	producer  int64
	epoch     int16
	sequence  int32
}

type letterPlace struct {
	of        record
	partition int32
	offset    int64
}

func newLetters() *letters {
	return &letters{written: make(map[letterID]record), at: make(map[letterPlace]bool)}
}

// answered takes the broker's answer to a write.
func (l *letters) answered(reqBytes, respBytes []byte) error {
	if l.source == [16]byte{} || kmsg.Key(int16(binary.BigEndian.Uint16(reqBytes[4:]))) != kmsg.Produce {
		return nil
	}
	kreq, ok := parseRequest(reqBytes)
	if !ok {
		return fmt.Errorf("a Produce request cannot be read")
	}
	req := kreq.(*kmsg.ProduceRequest)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	body := respBytes[8:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("the answer to a Produce request cannot be read: %w", err)
	}
	type partition struct {
		topic string
		n     int32
	}
	answers := make(map[partition]kmsg.ProduceResponseTopicPartition)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			answers[partition{topicKey(t.Topic, t.TopicID), p.Partition}] = p
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range req.Topics {
		if t.Topic == topicName || t.TopicID == l.source {
			continue
		}
		for _, p := range t.Partitions {
			topic := topicKey(t.Topic, t.TopicID)
			a, ok := answers[partition{topic, p.Partition}]
			// With these codes the brokers of these tests have written all the same.
			if !ok || a.ErrorCode != 0 && a.ErrorCode != kerr.RequestTimedOut.Code && a.ErrorCode != kerr.NotEnoughReplicasAfterAppend.Code {
				continue
			}
			if err := l.add(topic, p, a); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *letters) add(topic string, p kmsg.ProduceRequestTopicPartition, a kmsg.ProduceResponseTopicPartition) error {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(p.Records); err != nil {
		return fmt.Errorf("a batch of dead letters cannot be read: %w", err)
	}
	if b.Attributes&7 != 0 {
		return fmt.Errorf("a batch of dead letters is compressed: the simulation cannot read it")
	}
	raw := b.Records
	for i := range b.NumRecords {
		head := kbin.Reader{Src: raw}
		length := head.Varint()
		size := len(raw) - len(head.Src) + int(length)
		var r kmsg.Record
		if err := r.ReadFrom(raw[:size]); err != nil {
			return fmt.Errorf("a dead letter cannot be read: %w", err)
		}
		raw = raw[size:]
		of, err := source(r.Headers)
		if err != nil {
			return err
		}
		l.written[letterID{topic, p.Partition, b.ProducerID, b.ProducerEpoch, b.FirstSequence + i}] = of
		if a.ErrorCode == 0 {
			l.at[letterPlace{of, p.Partition, a.BaseOffset + int64(i)}] = true
		}
	}
	return nil
}

// source is the record that a dead letter is of, by the headers of either profile.
func source(hs []kmsg.Header) (r record, err error) {
	var partition, offset string
	for _, h := range hs {
		switch h.Key {
		case "orderly-dlt-topic", "kafka_dlt-original-topic":
			r.topic = string(h.Value)
		case "orderly-dlt-partition":
			partition = string(h.Value)
		case "orderly-dlt-offset":
			offset = string(h.Value)
		case "kafka_dlt-original-partition":
			partition = fmt.Sprint(binary.BigEndian.Uint32(h.Value))
		case "kafka_dlt-original-offset":
			offset = fmt.Sprint(binary.BigEndian.Uint64(h.Value))
		}
	}
	p, perr := strconv.ParseInt(partition, 10, 32)
	r.offset, err = strconv.ParseInt(offset, 10, 64)
	r.partition = int32(p)
	if perr != nil || err != nil || r.topic != topicName {
		return r, fmt.Errorf("a dead letter does not say what it is of: %v", hs)
	}
	return r, nil
}

// has says whether the letter of a record was written, and acknowledged, there.
func (l *letters) has(of record, partition int32, offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[letterPlace{of, partition, offset}]
}

// copies counts the letters of each record.
func (l *letters) copies() map[record]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := make(map[record]int)
	for _, of := range l.written {
		n[of]++
	}
	return n
}

// makeLetterTopic makes the dead-letter topic, when it is not there, with as many
// partitions as the source has now.
func (w *world) makeLetterTopic() {
	if w.c.TopicInfo(letterTopic) != nil {
		return
	}
	w.mu.Lock()
	partitions := int32(len(w.ends))
	w.mu.Unlock()
	// A consumer that may make it can have done so meanwhile.
	_ = w.c.CreateTopic(letterTopic, partitions, nil)
}

// growLetterTopic gives it the partitions that its source has.
func (w *world) growLetterTopic() {
	w.mu.Lock()
	want := len(w.ends)
	w.mu.Unlock()
	if info := w.c.TopicInfo(letterTopic); info == nil || len(w.c.PartitionInfos(letterTopic)) >= want {
		return
	}
	if r, err := w.adm.UpdatePartitions(context.Background(), want, letterTopic); err != nil || r[letterTopic].Err != nil {
		w.t.Errorf("adding partitions for dead letters: %v %v", err, r[letterTopic].Err)
	}
}

// limitLetters sets the size of a batch that the topic takes; empty: the default.
func (w *world) limitLetters(bytes string) {
	op := kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}
	if bytes == "" {
		op = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "max.message.bytes"}
	}
	// The topic may be away.
	_, _ = w.adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{op}, letterTopic)
}

// newLetterFault is what may happen to the dead-letter topic.
func newLetterFault(r *rand.Rand, lasts time.Duration) step {
	name := func(s string) string { return "dead letters: " + s + " for " + lasts.String() }
	fault := func(w *run, key kmsg.Key, err *kerr.Error) func() {
		return w.c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: letterTopic, Err: err, Count: -1}).Remove
	}
	switch r.IntN(5) {
	case 0:
		return step{name: name("the topic is away"), do: func(w *run) {
			if w.c.TopicInfo(letterTopic) != nil {
				_ = w.c.DeleteTopic(letterTopic)
				w.during(lasts, func() { w.makeLetterTopic() })
			}
		}}
	case 1:
		return step{name: name("no leader"), do: func(w *run) {
			produce, metadata := fault(w, kmsg.Produce, kerr.NotLeaderForPartition), fault(w, kmsg.Metadata, kerr.LeaderNotAvailable)
			w.during(lasts, func() { produce(); metadata() })
		}}
	case 2:
		return step{name: name("only small ones fit"), do: func(w *run) {
			w.limitLetters(smallLetters)
			w.during(lasts, func() { w.limitLetters("") })
		}}
	case 3:
		answer, lose := r.IntN(2) == 0, r.IntN(3) == 0
		return step{name: name("slow"), do: func(w *run) {
			for _, m := range w.all() {
				until := make(chan struct{})
				for range 5 {
					m.host.add(hold{key: kmsg.Produce, until: until, answer: answer, lose: lose})
				}
				w.during(lasts, func() { close(until) })
			}
		}}
	}
	err := pick(r, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.KafkaStorageError,
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.PolicyViolation, kerr.InvalidRecord, kerr.MessageTooLarge)
	return step{name: name("answered with " + err.Message), do: func(w *run) {
		w.during(lasts, fault(w, kmsg.Produce, err))
	}}
}
