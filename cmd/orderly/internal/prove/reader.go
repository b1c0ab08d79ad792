package prove

import (
	"context"
	"fmt"

	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record is what names one.
type record struct {
	key    []byte
	number int64
}

// readLog reads the topic from the brokers themselves, to where it ends now, and
// writes down what stands there, as events of a kind.
func (s *side) readLog(ctx context.Context, kind history.Kind) error {
	ends, err := s.world.ends(ctx, s.topic)
	if err != nil {
		return err
	}
	s.ends = ends
	opts := append([]kgo.Opt{
		kgo.SeedBrokers(s.world.brokers...), kgo.ClientID("orderly-prove-reader"), kgo.ConsumeTopics(s.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	}, s.cfg.Opts...)
	if s.cfg.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(s.cfg.TLS))
	}
	cl, err := kgo.NewClient(append(opts, hasty()...)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	at := make(map[int32]int64)
	for !reached(at, ends) {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("the log of %s could not be read to its end: %w", s.topic, context.Cause(ctx))
		}
		for _, e := range fs.Errors() {
			return &ClusterError{fmt.Sprintf("reading the log of %s/%d", e.Topic, e.Partition), e.Err}
		}
		fs.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() || r.Offset >= ends[r.Partition] {
				return
			}
			s.read++
			e := history.Event{Kind: kind, Topic: s.topic, Partition: r.Partition, Offset: r.Offset, Key: history.BytesKey(r.Key)}
			if key, n, ok := s.number(s.topic, view(r)); ok && n > 0 {
				e.Key, e.Number = history.BytesKey(key), n
			} else if ok {
				s.unordinal++
			}
			s.book.add(e)
			if s.program != nil && len(s.mirrored) < maxRecords && e.Number > 0 {
				s.mirrored = append(s.mirrored, record{r.Key, e.Number})
			}
		})
	}
	return nil
}

func reached(at, ends map[int32]int64) bool {
	for p, end := range ends {
		if at[p] < end {
			return false
		}
	}
	return true
}

// view is a record as the proxy sees it.
func view(r *kgo.Record) *proxy.Record {
	v := &proxy.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		v.Headers = append(v.Headers, proxy.Header{Key: h.Key, Value: h.Value})
	}
	return v
}

// entity is the header that names the key of a record without one.
const entity = "entity"

// naming knows records by their key and their number at seq. A record without a key
// may still belong to something: then a header says to what, as other fields of a
// real one would.
func naming(seq string) (proxy.Identify, error) {
	number, err := proxy.NumberAt(seq)
	if err != nil {
		return nil, refusef("%v", err)
	}
	return func(topic string, r *proxy.Record) ([]byte, int64, bool) {
		key, n, ok := number(topic, r)
		if key == nil {
			if v, named := r.Header(entity); named {
				key = v
			}
		}
		return key, n, ok
	}, nil
}

// numberOf is a record's number in its key.
func (s *side) numberOf(r *kgo.Record) (int64, bool) {
	_, n, ok := s.number(s.topic, view(r))
	return n, ok && n > 0
}
