package orderly

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Consumer processes the records of topics in order per key, as one member of
// a consumer group.
type Consumer struct {
	cfg  ConsumerConfig
	pool *lane.Pool
	rep  reporter

	mu      sync.Mutex
	session *group.Session
	started bool
	aborted chan struct{}
	abort   sync.Once
	exit    func(int)
}

// NewConsumer checks the configuration and returns a consumer that Run starts.
// All problems come in one ConfigError. Nothing is connected to yet.
func NewConsumer(cfg ConsumerConfig) (*Consumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, aborted: make(chan struct{}), exit: os.Exit}
	c.rep = reporter{cfg: &c.cfg}
	return c, nil
}

// Run joins the group and processes records until ctx ends. Then it drains:
// nothing starts any more, running handlers get until the drain deadline, what is
// done is committed, the group is left; and Run returns nil. Otherwise Run ends
// with a typed error: StopError, OffsetRangeError, TopicRecreatedError,
// ConnectError, AccessError, or ErrAborted. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.started {
		c.mu.Unlock()
		return errors.New("orderly: Run was called before on this Consumer; make a new one with NewConsumer")
	}
	c.started = true
	h := handling{c: c}
	pc := c.partitionConfig()
	c.pool = lane.NewPool(lane.Config{
		Concurrency: c.cfg.Concurrency, BatchMax: pc.BatchMax,
		Apply: h.apply(), OnFailure: h.failed, Keep: keep,
	})
	c.mu.Unlock()
	defer c.pool.Close(ErrPartitionLost)

	for {
		s := group.New(c.groupConfig(pc))
		c.mu.Lock()
		c.session = s
		c.mu.Unlock()
		done := make(chan struct{})
		go func() {
			select {
			case <-c.aborted:
				s.Abort()
			case <-done:
			}
		}()
		err := s.Run(ctx)
		close(done)
		if errors.Is(err, group.ErrRejoin) && ctx.Err() == nil {
			c.cfg.Logger.Warn("orderly: joining the group anew", "group", c.cfg.Group)
			continue
		}
		select {
		case <-c.aborted:
			return ErrAborted
		default:
		}
		return c.publicError(err)
	}
}

// Abort ends Run now: the contexts of running handlers end, what is not done is
// not waited for and not committed, the group is left. Run returns ErrAborted.
func (c *Consumer) Abort() { c.abort.Do(func() { close(c.aborted) }) }

// Rebalance makes the member join its group anew, as it does when members come
// and go. Order and progress are kept; it is of use in tests and experiments.
func (c *Consumer) Rebalance() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.Rejoin()
	}
}

func (c *Consumer) partitionConfig() lane.PartitionConfig {
	pc := lane.PartitionConfig{Whole: c.cfg.Scope == ScopePartition}
	if c.cfg.Batch.Handler != nil {
		pc.BatchMax, pc.BatchWait = c.cfg.Batch.Max, c.cfg.Batch.Wait
		if c.cfg.Scope == ScopeKey {
			pc.Lanes, pc.Detach = c.cfg.Lanes, true
		}
	}
	return pc
}

func (c *Consumer) groupConfig(pc lane.PartitionConfig) group.Config {
	cfg := &c.cfg
	g := group.Config{
		Brokers: cfg.Brokers, Group: cfg.Group, Topics: cfg.Topics, Opts: cfg.KafkaOpts,
		Balancers: cfg.Balancer.balancers(), ServerSide: cfg.Balancer.serverSide(), InstanceID: cfg.InstanceID,
		Session: cfg.SessionTimeout, Rebalance: cfg.RebalanceTimeout, Heartbeat: cfg.HeartbeatInterval,
		Drain: cfg.DrainTimeout, CommitInterval: cfg.CommitInterval, StartTimeout: cfg.StartTimeout,
		StartLatest: cfg.Start.latest, StartAt: cfg.Start.at, Reset: group.Reset(cfg.Reset), ReadUncommitted: cfg.ReadUncommitted,
		Records: cfg.Buffer.Records, Bytes: cfg.Buffer.Bytes, Window: cfg.Buffer.Window,
		Pool: c.pool,
		Partition: func(topic string, partition int32) lane.PartitionConfig {
			p := pc
			p.ID = fmt.Sprintf("%s/%d", topic, partition)
			return p
		},
		Items:  c.items,
		Causes: group.Causes{Drain: ErrDrainDeadline, Lost: ErrPartitionLost, Silent: ErrCoordinatorSilent, Aborted: ErrAborted},
		Hooks:  c.rep.hooks(),
		Logger: cfg.Logger,
	}
	if cfg.OnStuckHandler == StuckExit {
		g.Exit = func() { c.exit(1) }
	}
	return g
}

// slab is how many Messages are allocated at once: enough to cost nothing per
// record, few enough that a record that stays long does not hold many.
const slab = 1024

// items makes the lane's items of records.
func (c *Consumer) items(recs []*kgo.Record, out []*lane.Item) []*lane.Item {
	var free []Message
	for i, r := range recs {
		if len(free) == 0 {
			free = make([]Message, min(len(recs)-i, slab))
		}
		m := &free[0]
		free = free[1:]
		m.Record = r
		m.item = lane.Item{Payload: m, Hash: c.hash(r), Offset: r.Offset, Size: size(r)}
		out = append(out, &m.item)
	}
	return out
}

func (c *Consumer) hash(r *kgo.Record) uint64 {
	if c.cfg.Scope == ScopePartition {
		return 0
	}
	key := c.orderKey(r)
	if key == nil {
		return lane.NullHash
	}
	return lane.Hash(key)
}

func (c *Consumer) orderKey(r *kgo.Record) []byte {
	if c.cfg.OrderBy.Key != nil {
		return c.cfg.OrderBy.Key(r)
	}
	return r.Key
}

// size is what a record counts against Buffer.Bytes: its data and our own.
func size(r *kgo.Record) int32 {
	const own = 256
	n := len(r.Key) + len(r.Value) + own
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 48
	}
	return int32(min(n, 1<<31-1))
}

// keep copies a record that may stay for long: the client's record is a piece of
// a whole fetch, which would stay with it.
func keep(it *lane.Item) *lane.Item {
	old := it.Payload.(*Message)
	r := *old.Record
	r.Key = clone(r.Key)
	r.Value = clone(r.Value)
	if r.Headers != nil {
		hs := make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			hs[i] = kgo.RecordHeader{Key: h.Key, Value: clone(h.Value)}
		}
		r.Headers = hs
	}
	m := &Message{Record: &r}
	m.item = lane.Item{Payload: m, Hash: it.Hash, Slot: it.Slot, Offset: it.Offset, Attempts: it.Attempts, Size: it.Size}
	return &m.item
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// stop ends Run under the policy stop.
func (c *Consumer) stop(err *StopError) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	s.Fail(err)
}

// publicError gives the session's errors their public types.
func (c *Consumer) publicError(err error) error {
	var (
		connect  *group.ConnectError
		accessed *group.AccessError
		outside  *group.OffsetRangeError
		replaced *group.RecreatedError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &connect):
		return &ConnectError{Brokers: c.cfg.Brokers, Waited: connect.Waited, Err: connect.Err}
	case errors.As(err, &accessed):
		return &AccessError{Resource: accessed.Resource, Name: accessed.Name, Operation: accessed.Operation, Err: accessed.Err}
	case errors.As(err, &outside):
		return &OffsetRangeError{Topic: outside.Topic, Partition: outside.Partition, Offset: outside.Offset, Start: outside.Start, End: outside.End}
	case errors.As(err, &replaced):
		return &TopicRecreatedError{Topic: replaced.Topic, Old: topicID(replaced.Old), New: topicID(replaced.New)}
	}
	var stop *StopError
	if errors.As(err, &stop) {
		return stop
	}
	return fmt.Errorf("orderly: %w", err)
}

func topicID(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(id[:])
}
