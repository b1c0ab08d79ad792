package orderlytest

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Record is one to deliver or to produce. Make it with [Msg] or [NullKeyMsg];
// its methods return a changed copy.
type Record struct {
	topic     string
	partition int32 // -1: Deliver takes 0, Produce the key's
	key       []byte
	value     []byte
	headers   []kgo.RecordHeader
	timestamp time.Time
}

// Msg is a record with this key and value.
func Msg(key, value string) Record {
	return Record{partition: -1, key: []byte(key), value: []byte(value)}
}

// NullKeyMsg is a record without a key.
func NullKeyMsg(value string) Record { return Record{partition: -1, value: []byte(value)} }

// Header adds a header.
func (r Record) Header(key, value string) Record {
	r.headers = append(slices.Clone(r.headers), kgo.RecordHeader{Key: key, Value: []byte(value)})
	return r
}

// Partition puts the record into this partition, whatever its key is.
func (r Record) Partition(p int32) Record {
	r.partition = p
	return r
}

// Topic gives the record a topic, for deliveries of several.
func (r Record) Topic(name string) Record {
	r.topic = name
	return r
}

// Timestamp sets the record's timestamp.
func (r Record) Timestamp(t time.Time) Record {
	r.timestamp = t
	return r
}

func (r Record) kafka(topic string) *kgo.Record {
	if r.topic != "" {
		topic = r.topic
	}
	return &kgo.Record{Topic: topic, Partition: r.partition, Key: r.key, Value: r.value, Headers: r.headers, Timestamp: r.timestamp}
}
