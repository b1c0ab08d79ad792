// Package relay is a program from Kafka to Kafka: it reads a topic in order per key,
// makes something of each record, and writes that to another topic under the same key.
//
// A crash between the write and the commit has the record handled again, and its output
// written twice. So each output says of which record it is: the source's topic id and
// partition as the writer of our sequence headers, the offset as its number. A reader
// with Sequence{Headers: true, OnGap: GapIgnore} drops the repeats. Offsets leave some
// numbers out, hence GapIgnore.
//
// It is for handlers that make one output of a record, or none, under the record's key.
package relay

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Relay writes to Topic.
type Relay struct {
	Topic    string
	Producer *orderly.Producer // without Sequence: the headers are made here
	// Sources are the ids of the topics that are read: offsets of a topic that was
	// deleted and made again are others.
	Sources map[string]kadm.TopicID
	// Make makes the output of a record's value; nil: there is none.
	Make func(value []byte) ([]byte, error)
}

// Sources looks up the ids of topics.
func Sources(ctx context.Context, cl *kgo.Client, topics ...string) (map[string]kadm.TopicID, error) {
	ids := map[string]kadm.TopicID{}
	found, err := kadm.NewClient(cl).ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		if err := found[t].Err; err != nil {
			return nil, fmt.Errorf("topic %s: %w", t, err)
		}
		ids[t] = found[t].ID
	}
	return ids, nil
}

// Handle is the orderly.Handler.
func (r *Relay) Handle(ctx context.Context, m *orderly.Message) error {
	value, err := r.Make(m.Value)
	if value == nil || err != nil {
		return err
	}
	out := &kgo.Record{Topic: r.Topic, Key: m.Key, Value: value, Headers: r.id(m)}
	if err := r.Producer.ProduceSync(ctx, out).FirstErr(); err != nil {
		// It may be written or not: it is written again in its turn, and the reader
		// drops a repeat. Nothing else of this key can have been sent meanwhile.
		r.Producer.Clear(r.Topic, m.Key)
		return err
	}
	return nil
}

// id names the record that an output is of. Offsets begin at 0, numbers at 1.
func (r *Relay) id(m *orderly.Message) []kgo.RecordHeader {
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	return []kgo.RecordHeader{
		{Key: orderly.HeaderWriter, Value: fmt.Appendf(nil, "%s/%d", r.Sources[m.Topic], m.Partition)},
		{Key: orderly.HeaderEpoch, Value: number(1)},
		{Key: orderly.HeaderSeq, Value: number(m.Offset + 1)},
	}
}
