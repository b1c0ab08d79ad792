package proxy

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// decode reads a message of the broker's. The message stays tied to body's bytes.
func decode(msg interface{ ReadFrom([]byte) error }, body []byte) error {
	if u, ok := msg.(kmsg.UnsafeReadFrom); ok {
		return u.UnsafeReadFrom(body)
	}
	return msg.ReadFrom(body)
}

// decodeAnswer reads the answer to r, and gives where its body begins.
func decodeAnswer(r *request, frame []byte, resp kmsg.Response) (int, error) {
	body := r.answerBody(frame)
	if body < 0 {
		return 0, errShort
	}
	resp.SetVersion(r.version)
	return body, decode(resp, frame[body:])
}

// rewriteAddresses puts the proxy's addresses into an answer, in all that carry
// some. An answer without any is returned as it came. What cannot be read is an
// error: an address in it might lead the client around the proxy.
func rewriteAddresses(r *request, frame []byte, to relocate, learn func([16]byte, string)) ([]byte, error) {
	out, err := frame, error(nil)
	switch r.key {
	case apiMetadata:
		out, err = rewriteMetadata(r, frame, to, learn)
	case apiFindCoordinator:
		out, err = rewriteCoordinators(r, frame, to)
	case apiDescribeCluster:
		out, err = rewriteCluster(r, frame, to)
	case apiShareFetch, apiShareAcknowledge:
		out, err = rewriteShare(r, frame, to)
	case apiCreateTopics, apiDescribePartitions:
		err = learnTopics(r, frame, learn)
	}
	if err != nil {
		return nil, fmt.Errorf("the broker's answer to %s version %d: %w", r.name(), r.version, err)
	}
	return out, nil
}

func encode(frame []byte, body int, resp kmsg.Response) []byte {
	return resp.AppendTo(frame[:body:body])
}

func rewriteMetadata(r *request, frame []byte, to relocate, learn func([16]byte, string)) ([]byte, error) {
	resp := kmsg.NewPtrMetadataResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil {
		return nil, err
	}
	for i := range resp.Brokers {
		b := &resp.Brokers[i]
		if b.Host, b.Port, err = to(b.NodeID, b.Host, b.Port); err != nil {
			return nil, err
		}
	}
	for _, t := range resp.Topics {
		if t.Topic != nil && t.TopicID != ([16]byte{}) {
			learn(t.TopicID, *t.Topic)
		}
	}
	return encode(frame, body, resp), nil
}

func rewriteCoordinators(r *request, frame []byte, to relocate) ([]byte, error) {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil {
		return nil, err
	}
	if resp.NodeID >= 0 && resp.Host != "" { // to version 3
		if resp.Host, resp.Port, err = to(resp.NodeID, resp.Host, resp.Port); err != nil {
			return nil, err
		}
	}
	for i := range resp.Coordinators {
		c := &resp.Coordinators[i]
		if c.NodeID < 0 || c.Host == "" {
			continue
		}
		if c.Host, c.Port, err = to(c.NodeID, c.Host, c.Port); err != nil {
			return nil, err
		}
	}
	return encode(frame, body, resp), nil
}

func rewriteCluster(r *request, frame []byte, to relocate) ([]byte, error) {
	resp := kmsg.NewPtrDescribeClusterResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil {
		return nil, err
	}
	for i := range resp.Brokers {
		b := &resp.Brokers[i]
		if b.Host, b.Port, err = to(b.NodeID, b.Host, b.Port); err != nil {
			return nil, err
		}
	}
	return encode(frame, body, resp), nil
}

func rewriteShare(r *request, frame []byte, to relocate) ([]byte, error) {
	if r.key == apiShareFetch {
		resp := kmsg.NewPtrShareFetchResponse()
		body, err := decodeAnswer(r, frame, resp)
		if err != nil || len(resp.NodeEndpoints) == 0 {
			return frame, err
		}
		for i := range resp.NodeEndpoints {
			n := &resp.NodeEndpoints[i]
			if n.Host, n.Port, err = to(n.NodeID, n.Host, n.Port); err != nil {
				return nil, err
			}
		}
		return encode(frame, body, resp), nil
	}
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil || len(resp.NodeEndpoints) == 0 {
		return frame, err
	}
	for i := range resp.NodeEndpoints {
		n := &resp.NodeEndpoints[i]
		if n.Host, n.Port, err = to(n.NodeID, n.Host, n.Port); err != nil {
			return nil, err
		}
	}
	return encode(frame, body, resp), nil
}

// learnTopics takes topics' ids from answers that have no addresses.
func learnTopics(r *request, frame []byte, learn func([16]byte, string)) error {
	if r.key == apiCreateTopics {
		resp := kmsg.NewPtrCreateTopicsResponse()
		if _, err := decodeAnswer(r, frame, resp); err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if t.TopicID != ([16]byte{}) {
				learn(t.TopicID, t.Topic)
			}
		}
		return nil
	}
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	if _, err := decodeAnswer(r, frame, resp); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if t.Topic != nil && t.TopicID != ([16]byte{}) {
			learn(t.TopicID, *t.Topic)
		}
	}
	return nil
}
