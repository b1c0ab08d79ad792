package proxy

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupOf is the consumer group, or the transactional id, that a request names.
func groupOf(r *request) string {
	c := cursor{buf: r.frame, at: r.body}
	switch r.key {
	case apiOffsetCommit, apiJoinGroup, apiHeartbeat, apiSyncGroup, apiGroupHeartbeat, apiEndTxn, apiProduce:
		return string(c.text(r.flexible()))
	case apiOffsetFetch:
		if r.version >= 8 { // several groups: the first
			c.count(true)
		}
		return string(c.text(r.flexible()))
	case apiTxnOffsetCommit:
		c.text(r.flexible()) // the transaction's
		return string(c.text(r.flexible()))
	}
	return ""
}

// other decides about a request that has no records.
func (e *engine) other(c *conn, r *request) (*plan, error) {
	if !e.byCount {
		return nil, nil
	}
	a := asker{r.name(), r.client, groupOf(r)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.nth) >= maxClients {
		if _, ok := e.nth[a]; !ok {
			return nil, nil
		}
	}
	n := e.nth[a]
	e.nth[a]++ // also while healed: the count is of the run
	if e.healed.Load() {
		return nil, nil
	}
	t := Target{API: a.api, Client: a.client, Group: a.group, Nth: &n}
	id := t.id()
	for _, rule := range e.rules {
		if !rule.byCount() || !rule.strikes(r) || rule.Group != "" && rule.Group != t.Group || rule.Client != "" && rule.Client != r.client {
			continue
		}
		if rule.chosen != nil {
			if !rule.chosen[id] || !rule.due(id, c) {
				continue
			}
		} else if n < int64(rule.Skip) || n >= int64(rule.Skip)+int64(rule.Times) {
			continue
		}
		h := &Hit{Fault: rule.plain(), Node: c.node.id, API: r.name(), Client: r.client, Request: &t}
		h.Fault.Times = 0 // it was this one request
		p := &plan{strikes: []*strike{{rule: rule, hit: h, conn: c, state: felt}}}
		switch rule.Kind {
		default:
			rule.whole(p)
		case DropHeartbeat:
			p.drop, p.answer = true, e.aliveAnswer(r)
		case CoordinatorError:
			answer, err := refuseRequest(r, rule.Error)
			if err != nil {
				return nil, err
			}
			p.drop, p.answer = true, answer
		}
		rule.strike(h)
		return p, nil
	}
	return nil, nil
}

// strikes reports whether the rule is about such requests.
func (r *rule) strikes(req *request) bool {
	switch {
	case r.API != "":
		return r.API == req.name()
	case r.Kind == DropHeartbeat:
		return req.key == apiHeartbeat || req.key == apiGroupHeartbeat
	default: // CoordinatorError
		return canRefuse(req.key)
	}
}

// aliveAnswer is what the coordinator answers a heartbeat when nothing is amiss.
// The caller has the lock.
func (e *engine) aliveAnswer(r *request) []byte {
	if r.key == apiHeartbeat {
		return r.answer(kmsg.NewPtrHeartbeatResponse())
	}
	c := cursor{buf: r.frame, at: r.body}
	group, member := c.text(true), string(c.text(true))
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &member, c.int32()
	if resp.HeartbeatIntervalMillis = e.intervals[string(group)]; resp.HeartbeatIntervalMillis == 0 {
		resp.HeartbeatIntervalMillis = defaultInterval
	}
	return r.answer(resp)
}

// defaultInterval is Kafka's own group.consumer.heartbeat.interval.ms.
const defaultInterval = 5000

// heard learns the interval that the coordinator asks for.
func (e *engine) heard(r *request, frame []byte) {
	if !e.byCount || r.key != apiGroupHeartbeat {
		return
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	if _, err := decodeAnswer(r, frame, resp); err != nil || resp.ErrorCode != 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.intervals) < maxClients {
		e.intervals[groupOf(r)] = resp.HeartbeatIntervalMillis
	}
}

var refusableKeys = []int16{apiOffsetCommit, apiOffsetFetch, apiFindCoordinator, apiJoinGroup, apiHeartbeat, apiSyncGroup, apiEndTxn, apiTxnOffsetCommit, apiGroupHeartbeat}

func canRefuse(key int16) bool { return slices.Contains(refusableKeys, key) }

func refusable() (names []string) {
	for _, key := range refusableKeys {
		names = append(names, kmsg.NameForKey(key))
	}
	return names
}

// refuseRequest answers a request to a coordinator with an error.
func refuseRequest(r *request, code int16) ([]byte, error) {
	read := func(msg kmsg.Request) error {
		msg.SetVersion(r.version)
		return decode(msg, r.frame[r.body:])
	}
	switch r.key {
	case apiOffsetCommit:
		req, resp := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetCommitResponse()
		if err := read(req); err != nil {
			return nil, err
		}
		for _, t := range req.Topics {
			out := kmsg.NewOffsetCommitResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				failed := kmsg.NewOffsetCommitResponseTopicPartition()
				failed.Partition, failed.ErrorCode = p.Partition, code
				out.Partitions = append(out.Partitions, failed)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return r.answer(resp), nil
	case apiTxnOffsetCommit:
		req, resp := kmsg.NewPtrTxnOffsetCommitRequest(), kmsg.NewPtrTxnOffsetCommitResponse()
		if err := read(req); err != nil {
			return nil, err
		}
		for _, t := range req.Topics {
			out := kmsg.NewTxnOffsetCommitResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				failed := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				failed.Partition, failed.ErrorCode = p.Partition, code
				out.Partitions = append(out.Partitions, failed)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return r.answer(resp), nil
	case apiOffsetFetch:
		req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
		if err := read(req); err != nil {
			return nil, err
		}
		resp.ErrorCode = code
		for _, g := range req.Groups {
			out := kmsg.NewOffsetFetchResponseGroup()
			out.Group, out.ErrorCode = g.Group, code
			resp.Groups = append(resp.Groups, out)
		}
		return r.answer(resp), nil
	case apiFindCoordinator:
		req, resp := kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrFindCoordinatorResponse()
		if err := read(req); err != nil {
			return nil, err
		}
		resp.ErrorCode, resp.NodeID, resp.Port = code, -1, -1
		for _, key := range req.CoordinatorKeys {
			out := kmsg.NewFindCoordinatorResponseCoordinator()
			out.Key, out.NodeID, out.Port, out.ErrorCode = key, -1, -1, code
			resp.Coordinators = append(resp.Coordinators, out)
		}
		return r.answer(resp), nil
	}
	var resp kmsg.Response
	switch r.key {
	case apiJoinGroup:
		m := kmsg.NewPtrJoinGroupResponse()
		m.ErrorCode, m.Generation, resp = code, -1, m
	case apiHeartbeat:
		m := kmsg.NewPtrHeartbeatResponse()
		m.ErrorCode, resp = code, m
	case apiSyncGroup:
		m := kmsg.NewPtrSyncGroupResponse()
		m.ErrorCode, resp = code, m
	case apiEndTxn:
		m := kmsg.NewPtrEndTxnResponse()
		m.ErrorCode, resp = code, m
	case apiGroupHeartbeat:
		m := kmsg.NewPtrConsumerGroupHeartbeatResponse()
		m.ErrorCode, resp = code, m
	}
	return r.answer(resp), nil
}
