//go:build unix

package matrix

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// memberEnv makes the test program a consumer process; it holds its config.
const memberEnv = "ORDERLY_MATRIX_MEMBER"

// config is one member's.
type config struct {
	Name         string
	Brokers      []string
	Group, Topic string
	Session      time.Duration
	Work         time.Duration     // handlers take up to this
	Hold         bool              // handlers of keys that begin with held wait for the end of their context
	Park         bool              // policy park; keys fail as badness says
	Fixed        bool              // they do not any more
	Via          map[string]string // the way to a broker's address is another address
	Secure       *access
}

// access is how the brokers are to be spoken with.
type access struct {
	kafkatest.Credentials
	Mechanism string // "" is a client certificate
}

const held = "held-"

// message is what a member says: something for the history, or a note. It waits
// for the answer before it goes on, so that the order of histories is that of
// what happened, and all that a dead process has done is known.
type message struct {
	ID    int64
	Event *history.Event `json:",omitempty"`
	Note  *note          `json:",omitempty"`
}

// note is what histories have no event for.
type note struct {
	Member string
	Kind   string // cause, warning
	Key    string
	Text   string
}

// reply is the answer to a message, or the word to stop, or that bad keys are mended.
type reply struct {
	ID    int64
	Stop  bool
	Fixed bool
}

// runMember is the main function of a consumer process.
func runMember(text string) int {
	var cfg config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	m := &member{cfg: cfg, waiting: make(map[int64]chan struct{}), tokens: make(map[int32]int64)}
	m.fixed.Store(cfg.Fixed)
	go m.listen(os.Stdin, stop)
	if err := m.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type member struct {
	cfg   config
	fixed atomic.Bool

	out     sync.Mutex
	last    int64
	waiting map[int64]chan struct{}

	mu     sync.Mutex
	tokens map[int32]int64 // that were told, by partition
}

// listen takes answers. Without a test there is nothing to do any more.
func (m *member) listen(in io.Reader, stop func()) {
	defer os.Exit(2)
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		var r reply
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			return
		}
		if r.Stop {
			stop()
			continue
		}
		if r.Fixed {
			m.fixed.Store(true)
			continue
		}
		m.out.Lock()
		ch := m.waiting[r.ID]
		delete(m.waiting, r.ID)
		m.out.Unlock()
		close(ch)
	}
}

// tell returns when the test has taken it in.
func (m *member) tell(msg message) {
	ch := make(chan struct{})
	m.out.Lock()
	m.last++
	msg.ID = m.last
	m.waiting[msg.ID] = ch
	line, err := json.Marshal(msg)
	if err == nil {
		_, err = os.Stdout.Write(append(line, '\n'))
	}
	m.out.Unlock()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	<-ch
}

func (m *member) event(e history.Event) {
	e.N, e.Member = 1, m.cfg.Name
	m.tell(message{Event: &e})
}

func (m *member) run(ctx context.Context) error {
	opts := impatient()
	opts = append(opts, kgo.DisableClientMetrics())
	secure, err := m.cfg.Secure.options()
	if err != nil {
		return err
	}
	opts = append(opts, secure...)
	if len(m.cfg.Via) > 0 {
		opts = append(opts, kgo.Dialer(m.dial))
	}
	cfg := orderly.ConsumerConfig{
		Brokers: m.cfg.Brokers, Group: m.cfg.Group, Topics: []string{m.cfg.Topic},
		Handler: m.handle, Concurrency: 16, OnExhausted: orderly.PolicyBlock,
		Retry:          orderly.Retry{Backoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond},
		SessionTimeout: m.cfg.Session, RebalanceTimeout: 2 * m.cfg.Session, HeartbeatInterval: m.cfg.Session / 10,
		CommitInterval: 100 * time.Millisecond, StartTimeout: patience,
		Events: m.events(), KafkaOpts: opts,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if m.cfg.Park {
		m.park(&cfg)
	}
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func (m *member) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if via, ok := m.cfg.Via[addr]; ok {
		addr = via
	}
	return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, addr)
}

// options are the client's, of a library user's own making.
func (a *access) options() ([]kgo.Opt, error) {
	if a == nil {
		return nil, nil
	}
	ca, err := os.ReadFile(a.CA)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", a.CA)
	}
	user := scram.Auth{User: a.User, Pass: a.Password}
	switch a.Mechanism {
	case "":
		pair, err := tls.LoadX509KeyPair(a.Certificate, a.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
		return []kgo.Opt{kgo.DialTLSConfig(c)}, nil
	case "SCRAM-SHA-256":
		return []kgo.Opt{kgo.DialTLSConfig(c), kgo.SASL(user.AsSha256Mechanism())}, nil
	case "SCRAM-SHA-512":
		return []kgo.Opt{kgo.DialTLSConfig(c), kgo.SASL(user.AsSha512Mechanism())}, nil
	}
	return nil, fmt.Errorf("no such mechanism: %s", a.Mechanism)
}

// handle is the handler. What it does is written down before and after.
func (m *member) handle(ctx context.Context, r *orderly.Message) (err error) {
	if !m.start(ctx, r) {
		return context.Cause(ctx)
	}
	err = m.work(ctx, r)
	// After these causes a result is discarded, also a good one.
	cause := context.Cause(ctx)
	discarded := errors.Is(cause, orderly.ErrDrainDeadline) || errors.Is(cause, orderly.ErrPartitionLost)
	m.event(history.Event{Kind: history.End, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Token: r.FencingToken, Attempt: r.Attempt, OK: err == nil, Cancelled: discarded})
	return err
}

// start tells of a start. It reports false when the context ended before: the
// ownership may be over, and then the handler does nothing.
func (m *member) start(ctx context.Context, r *orderly.Message) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	// A context ends before the end of its ownership is told, which takes this
	// lock: one that has not ended now is in time.
	if ctx.Err() != nil {
		return false
	}
	// A handler may begin under a new token before its event has come.
	m.ownLocked(r.Topic, r.Partition, r.FencingToken)
	m.event(history.Event{Kind: history.Start, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: history.BytesKey(r.Key), Token: r.FencingToken, Attempt: r.Attempt})
	return true
}

func (m *member) work(ctx context.Context, r *orderly.Message) error {
	if m.cfg.Hold && strings.HasPrefix(string(r.Key), held) {
		<-ctx.Done()
		m.tell(message{Note: &note{Member: m.cfg.Name, Kind: "cause", Key: string(r.Key), Text: context.Cause(ctx).Error()}})
		return nil // too late, and yet it says that all is well
	}
	if m.cfg.Park && !m.fixed.Load() {
		if err := badness(string(r.Key)); err != nil {
			return err
		}
	}
	if rand.IntN(50) == 0 && r.Attempt == 1 {
		return errors.New("the handler was made to fail")
	}
	t := time.NewTimer(rand.N(m.cfg.Work))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *member) ownLocked(topic string, partition int32, token int64) {
	if m.tokens[partition] < token {
		m.tokens[partition] = token
		m.event(history.Event{Kind: history.Own, Topic: topic, Partition: partition, Token: token})
	}
}

// events become history.
func (m *member) events() orderly.Events {
	return orderly.Events{
		Assigned: func(e orderly.AssignedEvent) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ownLocked(e.Topic, e.Partition, e.FencingToken)
		},
		Revoked: func(e orderly.RevokedEvent) { m.giveUp(e.Topic, e.Partition, e.FencingToken) },
		// Taken as a release: what is lost has to end as if it were given up.
		Lost: func(e orderly.LostEvent) { m.giveUp(e.Topic, e.Partition, e.FencingToken) },
		Committed: func(e orderly.CommittedEvent) {
			if e.Err == nil {
				m.event(history.Event{Kind: history.Commit, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken})
			}
		},
		Warning: func(e orderly.WarningEvent) {
			m.tell(message{Note: &note{Member: m.cfg.Name, Kind: "warning", Key: e.Code, Text: e.Message}})
		},
	}
}

// giveUp takes the lock that starts take.
func (m *member) giveUp(topic string, partition int32, token int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.event(history.Event{Kind: history.Release, Topic: topic, Partition: partition, Token: token})
}
