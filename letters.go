package orderly

import (
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/deadletter"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where a record is.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// letters writes dead letters. done is called once, from any goroutine, also
// before send has returned; at names at least the topic.
type letters interface {
	send(m *Message, g *givenUp, done func(at place, err error))
}

var (
	errTooLarge = errors.New("the dead letter is larger than its topic allows, without headers of ours that can be cut")
	errCrowded  = errors.New("too many dead letters are under way")
)

// letter makes the record that is written, of limit bytes at the most, as Kafka
// counts it.
func (c *ConsumerConfig) letter(m *Message, g *givenUp, limit int) (*kgo.Record, error) {
	r := &kgo.Record{Topic: c.DeadLetter.topicOf(m.Topic), Partition: m.Partition, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		if !deadletter.Ours(h.Key) {
			r.Headers = append(r.Headers, h)
		}
	}
	l := deadletter.Letter{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Group: c.Group,
		Attempts: g.attempts, Reason: g.reason, Message: g.err.Error(), Token: m.FencingToken,
	}
	switch m.Attrs.TimestampType() {
	case 0:
		l.TimestampType = "CreateTime"
	case 1:
		l.TimestampType = "LogAppendTime"
	}
	err := unmarked(g.err)
	l.ErrorType = fmt.Sprintf("%T", err)
	if cause := errors.Unwrap(err); cause != nil {
		l.CauseType = fmt.Sprintf("%T", cause)
	}
	var p *PanicError
	if errors.As(g.err, &p) {
		l.Stack = string(p.Stack)
	}
	own := len(r.Headers)
	room := c.DeadLetter.MaxHeaderBytes
	for {
		r.Headers = r.Headers[:own:own]
		for _, h := range l.Headers(deadletter.Profile(c.DeadLetter.Profile), room) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		over := batchSize(r) - limit
		switch {
		case over <= 0:
			return r, nil
		case room == deadletter.MinLimit:
			return r, fmt.Errorf("%w (%d bytes, %d allowed)", errTooLarge, batchSize(r), limit)
		}
		room = max(min(room-over, headerBytesOf(r.Headers[own:])-over), deadletter.MinLimit)
	}
}

func headerBytesOf(hs []kgo.RecordHeader) (n int) {
	for _, h := range hs {
		n += headerBytes(h)
	}
	return n
}

// unmarked is the error inside of Permanent and the like.
func unmarked(err error) error {
	for {
		o, ok := err.(*outcome)
		if !ok {
			return err
		}
		err = o.err
	}
}

// batchSize is what a batch of this record alone takes.
func batchSize(r *kgo.Record) int { return batchOverhead + recordBytes(r, nil) }
