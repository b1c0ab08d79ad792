package parked

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/lane"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Config is what a Manager needs.
type Config struct {
	Group, Prefix string
	Opts          []kgo.Opt // of its clients, the brokers' addresses among them
	Rules         parking.Rules
	Self          parking.MarkerBody // but for the source topic
	Create        bool               // topics that are missing, or too narrow
	Needed        bool               // the policy parks
	Refresh       time.Duration      // how often it looks for topics that have come or gone
	Logger        *slog.Logger

	// Start hands a parked record to its handler, which ends it, now or later. It
	// reports false when that is not possible now.
	Start func(part *lane.Partition, r Record) bool
	// Find looks for a record that is not parked; with wake a blocked one is tried now.
	Find func(part *lane.Partition, key []byte, offset int64, wake bool) lane.Found
	// Elsewhere takes commands about what a store keeps; nil: there is none.
	Elsewhere Elsewhere
	// Skipped tells that a record is done by an operator's word.
	Skipped func(s Skip)
	// Warning says what an operator should know, with a fixed code.
	Warning func(code, message string)
}

// A Record is a parked record that is released.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte // the ordering key
	Entry     *parking.Entry
	Tries     int // releases that failed at it before
	// Ended takes the handler's return: nil is a success.
	Ended func(f *parking.Failure)
}

// A Manager has the parking topics of a consumer's topics.
type Manager struct {
	cfg    Config
	begun  time.Time
	admin  *kgo.Client // asks about topics
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	logs  map[string]*topicLog // by source topic
	parts map[*Partition]struct{}
	said  map[string]bool // warnings that are given once
	over  bool
}

// topicLog is one parking topic, under one id, with a client of its own: a client
// that knows a topic as it is no more would go on writing to that.
type topicLog struct {
	*parkinglog.Log
	name string
	id   [16]byte
	cl   *kgo.Client
}

// New returns a Manager; End ends it.
func New(cfg Config) (*Manager, error) {
	m := &Manager{cfg: cfg, begun: time.Now(), logs: make(map[string]*topicLog), parts: make(map[*Partition]struct{}), said: make(map[string]bool)}
	var err error
	if m.admin, err = kgo.NewClient(slices.Concat(cfg.Opts, []kgo.Opt{
		kgo.MetadataMinAge(100 * time.Millisecond),
		// A partition without a leader must not hold up the answer about the others.
		kgo.RequestRetries(3), kgo.RetryBackoffFn(func(tries int) time.Duration { return time.Duration(tries) * 50 * time.Millisecond }),
	})...); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.wg.Go(m.tend)
	return m, nil
}

// End ends what is under way; what is not read back does not count.
func (m *Manager) End() {
	m.mu.Lock()
	m.over = true
	logs := m.logs
	m.logs = make(map[string]*topicLog)
	m.mu.Unlock()
	m.cancel()
	for _, l := range logs {
		l.cl.Close()
	}
	m.wg.Wait()
	m.admin.Close()
}

// run runs f beside everything else, unless it is over.
func (m *Manager) run(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.over {
		m.wg.Go(f)
	}
}

// name is that of a topic's parking topic.
func (m *Manager) name(topic string) (string, error) {
	return parking.TopicName(m.cfg.Prefix, m.cfg.Group, topic)
}

// open returns the log of a parking topic, with a new client when its id is another
// one.
func (m *Manager) open(ctx context.Context, source, name string, id [16]byte) (*topicLog, error) {
	m.mu.Lock()
	l := m.logs[source]
	m.mu.Unlock()
	if l != nil && l.id == id {
		return l, nil
	}
	limit := parkinglog.Limit(ctx, m.admin, name)
	cl, err := kgo.NewClient(slices.Concat(m.cfg.Opts, parkinglog.Options(), []kgo.Opt{
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.BrokerMaxWriteBytes(max(100<<20, limit+1<<20)), kgo.ProducerBatchMaxBytes(limit),
	})...)
	if err != nil {
		return nil, err
	}
	n := &topicLog{parkinglog.New(cl, name, id), name, id, cl}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		cl.Close()
		return nil, context.Canceled
	}
	m.logs[source] = n
	if l != nil {
		m.wg.Go(l.cl.Close) // what it was writing fails, and its owner takes a new token
	}
	return n, nil
}

// once gives a warning the first time.
func (m *Manager) once(code, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.mu.Lock()
	said := m.said[code+text]
	m.said[code+text] = true
	m.mu.Unlock()
	if !said {
		m.run(func() { m.cfg.Warning(code, text) }) // aside: it may ask for the state
	}
}

// MinLimit is part of group.Parking.
func (m *Manager) MinLimit() int { return parking.GuardSize + parking.StoredSize(m.cfg.Self.Store) }

// Begin is part of group.Parking.
func (m *Manager) Begin(topic string, partition int32, host group.ParkingHost) group.Parked {
	p := &Partition{m: m, topic: topic, partition: partition, host: host, waiters: make(map[int64]waiting), fetching: make(chan struct{}, 1)}
	p.reason = StateAwaiting
	m.mu.Lock()
	m.parts[p] = struct{}{}
	m.mu.Unlock()
	return p
}

func (m *Manager) all() (parts []*Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.parts {
		parts = append(parts, p)
	}
	return parts
}
