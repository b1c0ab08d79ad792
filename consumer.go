package orderly

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/rules"
)

// A Consumer processes the records of topics in order per key, as one member of
// a consumer group.
type Consumer struct {
	cfg  ConsumerConfig
	h    handling
	pool *lane.Pool

	mu      sync.Mutex
	session *group.Session
	started bool
	over    bool // it is ending, or has ended
	aborted chan struct{}
	abort   sync.Once
	exit    func(int)
	risks   topicRisks
}

// NewConsumer checks the configuration and returns a consumer that Run starts.
// All problems come in one ConfigError. Nothing is connected to yet.
func NewConsumer(cfg ConsumerConfig) (*Consumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, aborted: make(chan struct{}), exit: os.Exit}
	c.h = newHandling(&c.cfg, c.stop)
	return c, nil
}

const rejoinPause = time.Second

// serverSideSession is Kafka's default, and by default least, session of members
// whose partitions the broker assigns. The broker alone sets it, and with it the
// interval of heartbeats (5 s): a shorter one of ours would end between two of them.
const serverSideSession = 45 * time.Second

// Run joins the group and processes records until ctx ends. Then it drains:
// nothing starts any more, running handlers get until the drain deadline, what is
// done is committed, the group is left; and Run returns nil. Otherwise Run ends
// with a typed error: StopError, OffsetRangeError, TopicRecreatedError,
// ConnectError, AccessError, DeadLetterTopicError, StoreError, or ErrAborted. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.started {
		c.mu.Unlock()
		return errors.New("orderly: Run was called before on this Consumer; make a new one with NewConsumer")
	}
	c.started = true
	kept := newEffectsStore(c.h)
	defer kept.end()
	beside, err := c.openParking(kept)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	ready := func(ctx context.Context, partitions map[string]int) error {
		return c.prepareParking(ctx, beside, partitions)
	}
	if c.cfg.OnExhausted == PolicyDeadLetter {
		k, err := openLetters(&c.cfg)
		if err != nil {
			c.mu.Unlock()
			beside.End()
			return err
		}
		defer k.close()
		c.h.letters, ready = k, k.prepare
	}
	c.pool = c.h.pool(lane.SystemClock{})
	c.mu.Unlock()
	defer beside.End()
	defer c.pool.Close(ErrPartitionLost)
	ending := func() {
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
	}
	defer ending()
	defer context.AfterFunc(ctx, ending)()
	c.h.rep.passingPolicy()
	defer c.h.guard.end()

	for {
		cfg := c.groupConfig()
		cfg.Ready, cfg.Parking = ready, beside
		if kept != nil {
			cfg.Store = kept // the parking topic carries commands alone
		}
		s := group.New(cfg)
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
		if errors.Is(err, group.ErrRejoin) {
			if ctx.Err() != nil {
				return nil
			}
			c.cfg.Logger.Warn("orderly: joining the group anew", "group", c.cfg.Group)
			// Members that make each other leave must not do so without a pause.
			select {
			case <-ctx.Done():
			case <-c.aborted:
			case <-time.After(rejoinPause):
			}
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

func (c *Consumer) groupConfig() group.Config {
	cfg := &c.cfg
	g := group.Config{
		Brokers: cfg.Brokers, Group: cfg.Group, Topics: cfg.Topics, Opts: cfg.KafkaOpts,
		Balancers: cfg.Balancer.balancers(), ServerSide: cfg.Balancer.serverSide(), InstanceID: cfg.InstanceID,
		Session: cfg.SessionTimeout, Rebalance: cfg.RebalanceTimeout, Heartbeat: cfg.HeartbeatInterval,
		Drain: cfg.DrainTimeout, CommitInterval: cfg.CommitInterval, StartTimeout: cfg.StartTimeout,
		StartLatest: cfg.Start.latest, StartAt: cfg.Start.at, Reset: group.Reset(cfg.Reset), ReadUncommitted: cfg.ReadUncommitted,
		Records: cfg.Buffer.Records, Bytes: cfg.Buffer.Bytes, Window: cfg.Buffer.Window,
		Pool: c.pool, Partition: c.h.partition, Items: c.h.items,
		Causes: group.Causes{Drain: ErrDrainDeadline, Lost: ErrPartitionLost, Silent: ErrCoordinatorSilent, Aborted: ErrAborted},
		Shut:   c.h.guard.shut,
		Hooks:  c.h.rep.hooks(),
		Logger: cfg.Logger,
		Risks:  func(topic string, t rules.Topic, brokers int) { c.risks.tell(cfg.Logger, topic, t, brokers) },
		Overdue: func() []group.Stuck {
			return c.h.timed.overdue(cfg.AttemptTimeout)
		},
	}
	if g.ServerSide {
		g.Session = max(g.Session, serverSideSession)
	}
	if cfg.OnStuckHandler == StuckExit {
		g.Exit = func() { c.exit(1) }
	}
	return g
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
		refused  *group.ParkingError
		kept     *group.StoreError
		reset    *group.ResetError
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
	case errors.As(err, &reset):
		return &ResetUnfinishedError{Group: c.cfg.Group, Topic: reset.Topic, Partition: reset.Partition, Offset: reset.Offset}
	case errors.As(err, &kept):
		return &StoreError{Topic: kept.Topic, Partition: kept.Partition, Err: kept.Err}
	case errors.As(err, &refused):
		return c.mismatch(err)
	case errors.As(err, &replaced):
		return &TopicRecreatedError{Topic: replaced.Topic, Old: topicID(replaced.Old), New: topicID(replaced.New)}
	}
	var stop *StopError
	if errors.As(err, &stop) {
		return stop
	}
	var parkingTopic *ParkingTopicError
	if errors.As(err, &parkingTopic) {
		return parkingTopic
	}
	var letters *DeadLetterTopicError
	if errors.As(err, &letters) {
		return letters
	}
	return fmt.Errorf("orderly: %w", err)
}

func topicID(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(id[:])
}
