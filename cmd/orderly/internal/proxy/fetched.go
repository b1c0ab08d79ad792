package proxy

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetched puts an error into a fetch answer, in place of the records of each
// partition that has a chosen one among them.
func (e *engine) fetched(c *conn, r *request, frame []byte) ([]byte, error) {
	if !e.fetching || e.healed.Load() {
		return frame, nil
	}
	var all []found
	if _, err := walkFetched(r, frame, e.named, func(p part) {
		if e.concerned(p.topic, r.client, true) {
			all = append(all, e.lookInto(r, p)...)
		}
	}); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return frame, nil
	}
	rule, h, struck := e.strikeFetched(c, r, all)
	if h == nil {
		return frame, nil
	}
	defer e.done(h)
	resp := kmsg.NewPtrFetchResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		name := t.Topic
		if r.version >= 13 {
			name = e.named(t.TopicID)
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if covers(struck, name, p.Partition) {
				p.ErrorCode, p.RecordBatches, p.AbortedTransactions = rule.Error, []byte{}, nil
			}
		}
	}
	return encode(frame, body, resp), nil
}

func (e *engine) strikeFetched(c *conn, r *request, all []found) (*rule, *Hit, []found) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, rule := range e.rules {
		if rule.Kind != FetchError {
			continue
		}
		struck, hits := e.struckBy(rule, c, r, all)
		if len(struck) == 0 {
			continue
		}
		h := &Hit{Fault: rule.plain(), Node: c.node.id, API: r.name(), Client: r.client, Batches: hits}
		rule.strike(h)
		return rule, h, struck
	}
	return nil, nil, nil
}

func covers(struck []found, topic string, partition int32) bool {
	return slices.ContainsFunc(struck, func(f found) bool { return f.topic == topic && f.partition == partition })
}
