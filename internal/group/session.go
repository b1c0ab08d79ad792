package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Session is one membership in the group.
type Session struct {
	cfg    Config
	cl     *kgo.Client
	adm    *kadm.Client
	heard  heard
	gate   pollGate
	kick   chan struct{} // wakes the committer
	failed chan error    // the first error that ends the session
	abort  chan struct{}
	once   sync.Once
	ready  chan struct{} // closed when the client stands
	stuck  stuckLog

	joining  atomic.Bool // between the answer to JoinGroup and the assignment
	distrust atomic.Bool // partitions may be others' already: nothing is committed
	rejoined atomic.Int32

	coordinator atomic.Int32 // broker id; -1 unknown
	metaLimit   atomic.Int32
	adjusting   atomic.Int32 // calls of adjust under way
	full        atomic.Bool  // the buffer has been full for some time

	mu      sync.Mutex
	parts   map[tp]*Partition
	topics  map[string]topicInfo
	closing bool
	silent  bool

	commitMu turn

	pulses      struct{ poll, commit, tend pulse }
	asked       atomic.Bool // by the user: to join again
	measuring   atomic.Bool // the logs' extents are being looked up
	nextExtents time.Time   // guarded by mu, as the next three
	look        progress.Snapshot
	seenMember  string // at the last look, and the generation
	seenGen     int32

	work   context.Context // ends when the session has released everything
	client context.Context // ends what the client still waits for when the group was not left in time
	asides sync.WaitGroup
	gone   map[string]time.Time // topics that the cluster does not name, since when
}

// New returns a session that Run starts.
func New(cfg Config) *Session {
	s := &Session{
		cfg:    cfg,
		kick:   make(chan struct{}, 1),
		failed: make(chan error, 1),
		abort:  make(chan struct{}),
		ready:  make(chan struct{}),
		parts:  make(map[tp]*Partition),
		topics: make(map[string]topicInfo),
		gone:   make(map[string]time.Time),

		commitMu: newTurn(),
	}
	s.heard.start()
	s.gate.next = make(chan struct{})
	s.coordinator.Store(-1)
	s.rejoined.Store(-1)
	s.metaLimit.Store(4096)
	return s
}

// Run joins the group and consumes until ctx ends (then it drains and returns
// nil), Abort is called, or something ends the session.
func (s *Session) Run(ctx context.Context) error {
	starting, started := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.abort:
			started()
		case <-starting.Done():
		}
	}()
	err := s.connect(starting)
	over := starting.Err() != nil
	started()
	switch {
	case over:
		return nil
	case err != nil:
		return err
	}
	work, stop := context.WithCancel(context.Background())
	defer stop()
	s.work = work
	client, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	s.client = client
	cl, err := kgo.NewClient(s.options()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	s.mu.Lock()
	s.cl, s.adm = cl, kadm.NewClient(cl)
	s.mu.Unlock()
	close(s.ready)

	var wg sync.WaitGroup
	polling, stopPolling := context.WithCancel(work)
	wg.Go(func() { s.poll(polling) })
	wg.Go(func() { s.commitLoop(work) })
	wg.Go(func() { s.tend(work) })

	var end error
	select {
	case <-ctx.Done():
	case end = <-s.failed:
	case <-s.abort:
	}
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	stopPolling()
	s.release(s.all())
	stop()
	// What is assigned from here on is not ours to start; leaving gives it back.
	patience := s.cfg.Heartbeat + 5*time.Second
	if s.aborting() {
		patience = time.Second
	}
	leave, cancel := context.WithTimeout(context.Background(), patience)
	if s.cfg.InstanceID == "" {
		if err := cl.LeaveGroupContext(leave); err != nil {
			// A join that is pending for the others, say: closing would wait for it.
			s.cfg.Logger.Debug("orderly: leaving the group", "group", s.cfg.Group, "error", err)
			giveUp()
		}
	} else {
		stop := context.AfterFunc(leave, giveUp)
		defer stop()
	}
	cl.CloseAllowingRebalance()
	cancel()
	wg.Wait()
	s.asides.Wait()
	return end
}

// Abort ends the session now: running handlers' contexts end, nothing that is
// not done is waited for.
func (s *Session) Abort() { s.once.Do(func() { close(s.abort) }) }

// aside runs f beside everything else; Run waits for it at its end.
func (s *Session) aside(f func(ctx context.Context)) {
	s.asides.Go(func() { f(s.work) })
}

// fail ends the session with err; only the first counts.
func (s *Session) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Fail ends the session as a drain does, and Run returns err.
func (s *Session) Fail(err error) { s.fail(err) }

func (s *Session) all() []*Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allLocked()
}

func (s *Session) allLocked() []*Partition {
	out := make([]*Partition, 0, len(s.parts))
	for _, p := range s.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *Partition) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition) - int(b.partition)
	})
	return out
}

// connect waits for a first broker and checks the topics, on a client that does
// not join the group.
func (s *Session) connect(ctx context.Context) error {
	opts := append(slices.Clone(s.cfg.Opts), kgo.SeedBrokers(s.cfg.Brokers...))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	started := time.Now()
	for try := 1; ; try++ {
		limit := 5 * time.Second
		if t := s.cfg.StartTimeout; t > 0 {
			limit = min(limit, t-time.Since(started))
		}
		ping, cancel := context.WithTimeout(ctx, limit)
		err := cl.Ping(ping)
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) {
			return &AccessError{Resource: "cluster", Name: strings.Join(s.cfg.Brokers, ","), Operation: "Authenticate", Err: err}
		}
		if t := s.cfg.StartTimeout; t > 0 && time.Since(started) >= t {
			return &ConnectError{Waited: time.Since(started), Err: err}
		}
		wait := min(time.Duration(try)*500*time.Millisecond, 5*time.Second)
		if t := s.cfg.StartTimeout; t > 0 {
			wait = min(wait, t-time.Since(started))
		}
		s.cfg.Logger.Warn("orderly: no broker answers; trying again", "group", s.cfg.Group,
			"brokers", strings.Join(s.cfg.Brokers, ","), "try", try, "in", wait.Round(time.Millisecond), "error", err)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
	topics, err := s.readTopics(ctx, cl)
	if err != nil {
		return err
	}
	s.topics = topics
	s.tellRisks(ctx, cl, topics)
	var noID []string
	for name, t := range topics {
		if t.id == [16]byte{} {
			noID = append(noID, name)
		}
	}
	if s.cfg.Ready != nil {
		partitions := make(map[string]int, len(topics))
		for name, t := range topics {
			partitions[name] = t.partitions
		}
		if err := s.cfg.Ready(ctx, partitions); err != nil {
			return err
		}
	}
	if len(noID) > 0 {
		slices.Sort(noID)
		s.cfg.Hooks.Warning("no-topic-ids", fmt.Sprintf("the brokers give no topic ids (topics %s): progress is kept by topic name, "+
			"and a topic that is deleted and created again is not noticed", strings.Join(noID, ", ")))
	}
	return nil
}
