package group

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientID names our members where the user gives no ClientID: a member of the
// group with another one is not ours.
const clientID = "orderly"

// fetchWait is how long a broker may hold a request for records that are not there
// yet. A partition that is resumed cannot be read before the present request of its
// broker is answered, so the client's default of 5 s would be a stall.
const fetchWait = 500 * time.Millisecond

func (s *Session) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.ClientID(clientID), kgo.FetchMaxWait(fetchWait)}
	opts = append(opts, s.cfg.Opts...)
	opts = append(opts,
		kgo.WithContext(s.client),
		kgo.SeedBrokers(s.cfg.Brokers...),
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.ConsumeTopics(s.cfg.Topics...),
		kgo.DisableAutoCommit(),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.SessionTimeout(s.cfg.Session),
		kgo.RebalanceTimeout(s.cfg.Rebalance),
		kgo.HeartbeatInterval(s.cfg.Heartbeat),
		kgo.OnPartitionsAssigned(s.onAssigned),
		kgo.OnPartitionsRevoked(s.onRevoked),
		kgo.OnPartitionsLost(s.onLost),
		kgo.AdjustFetchOffsetsFn(s.adjust),
		kgo.WithHooks(&coordinatorHook{s}),
	)
	if !s.cfg.ReadUncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if s.cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(s.cfg.InstanceID))
	}
	if s.cfg.ServerSide {
		return append(opts, kgo.ServerSideBalancer())
	}
	var bs []kgo.GroupBalancer
	for _, b := range s.cfg.Balancers {
		bs = append(bs, &balancer{GroupBalancer: b, s: s})
	}
	return append(opts, kgo.Balancers(bs...))
}

// A balancer tells the session when the group has chosen it: the assignment is
// known then, before any callback.
type balancer struct {
	kgo.GroupBalancer
	s *Session
}

// IsCooperative is false for a member that also offers an eager balancer, as in the
// Java client: it gives everything up before it joins. Only then the group may
// change over to the eager one at any rebalance, and no partition is assigned
// while another member holds it.
func (b *balancer) IsCooperative() bool {
	return b.GroupBalancer.IsCooperative() && len(b.s.cfg.Balancers) == 1
}

func (b *balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	if !b.IsCooperative() {
		// An eager member gave up everything before it joined. Whoever still
		// holds partitions was cooperative until now: an eager member has come
		// into the group, and what is held may be another's already.
		b.s.mu.Lock()
		if len(b.s.parts) > 0 {
			b.s.distrust.Store(true)
		}
		b.s.mu.Unlock()
	}
	b.s.newMember()
	b.s.joining.Store(false)
	return b.GroupBalancer.ParseSyncAssignment(assignment)
}

// newMember looks whether the group has dropped this member and taken it in again
// under another id. The client then keeps what it holds without a word, and
// another member may have owned it in between.
func (s *Session) newMember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parts) == 0 {
		return
	}
	member, _ := s.cl.GroupMetadata()
	for _, p := range s.parts {
		if p.state == live && p.member != member {
			p.doubt()
			p.lane.Cancel(s.cfg.Causes.Silent) // we were not heard for so long
		}
	}
}

// coordinatorHook watches the requests that only the group's coordinator answers.
type coordinatorHook struct{ s *Session }

const (
	keyJoinGroup      = kmsg.JoinGroup
	keyHeartbeat      = kmsg.Heartbeat
	keySyncGroup      = kmsg.SyncGroup
	keyGroupHeartbeat = kmsg.ConsumerGroupHeartbeat
)

func (h *coordinatorHook) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if kmsg.Key(key) != keyJoinGroup || err != nil {
		return
	}
	h.s.heard.joinSent()
	h.s.newMember() // dropped by the group, the client joins again under another id
	if h.s.cfg.ServerSide {
		// The client falls back to the classic protocol by itself, with a balancer
		// that nobody chose.
		h.s.fail(&AccessError{Resource: "group", Name: h.s.cfg.Group, Operation: "ConsumerGroupHeartbeat",
			Err: errors.New("the brokers offer no server-side assignment (KIP-848): it needs Kafka 4.0 or later; set Balancer: CooperativeSticky")})
	}
}

func (h *coordinatorHook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	err := e2e.Err()
	switch kmsg.Key(key) {
	case keyJoinGroup:
		if err != nil {
			h.s.heard.joinEnded()
			return
		}
		// The answer may be that the member is unknown: only that of SyncGroup, or
		// of a heartbeat, says that it was heard.
		h.s.heard.joinAnswered()
		h.s.joining.Store(true)
		return
	case keyHeartbeat, keySyncGroup, keyGroupHeartbeat:
	default:
		return
	}
	if err != nil {
		return
	}
	sent := time.Now().Add(-e2e.DurationE2E())
	h.s.heard.answered(sent)
	switch kmsg.Key(key) {
	case keyHeartbeat:
		h.s.heard.beaten(sent)
	case keySyncGroup, keyGroupHeartbeat:
		h.s.heard.synced(sent)
	}
}
