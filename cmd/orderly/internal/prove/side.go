package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A side is the subject or the control, with what it has for itself.
type side struct {
	cfg    *Config
	world  *world
	who    *Subject
	role   string // subject, control
	topic  string
	group  string
	at     string // of the broker, when there is no proxy: see addr
	book   *book
	proxy  *proxy.Proxy
	app    *app // nil: nothing is consumed
	seq    string
	number proxy.Identify

	hits struct {
		mu  sync.Mutex
		n   int64
		err error // of writing them down
	}
	program   *command      // of a program
	late      map[int16]int // the broker's answers to what came again or late
	doubts    []string      // why the verdict is worth less
	beside    []string      // what else is to be said
	cut       bool          // ended early: what is not done is not lost
	untold    bool          // what a program says it did cannot be taken: it shows nothing
	read      int64         // records of the log
	ends      map[int32]int64
	unordinal int64    // records of the log whose number is 0 or less
	mirrored  []record // of a mirror: what to write
}

// one is the name under which the records of both sides are chosen.
const one = "subject"

func openSide(ctx context.Context, c *Config, w *world, who *Subject, role string) (s *side, err error) {
	s = &side{cfg: c, world: w, who: who, role: role, seq: ".n", late: map[int16]int{}}
	if c.Subject.Kind == Program {
		s.seq = c.Seq // also of its mirror: the same records are struck
	}
	if s.number, err = naming(s.seq); err != nil {
		return nil, err
	}
	// The members of a control have no fencing tokens.
	if s.book, err = newBook(history.Options{Complete: true, NoTokens: who.Kind != Orderly, BlameFrozen: c.effects}); err != nil {
		return nil, err
	}
	if s.topic, err = w.create(ctx, role, c.Partitions); err != nil {
		return s, err
	}
	if c.Workload.consumes() {
		s.group = w.group(role)
	}
	return s, nil
}

// through starts the proxy.
func (s *side) through(ctx context.Context) error {
	cfg := proxy.Config{
		Upstream: s.world.brokers, UpstreamTLS: s.cfg.TLS, Faults: s.cfg.Faults, Seed: s.cfg.Seed,
		As: map[string]string{s.topic: one},
		// See the package comment for why not the first ones.
		Identify: func(topic string, r *proxy.Record) ([]byte, int64, bool) {
			key, n, ok := s.number(topic, r)
			return key, n, ok && n >= s.cfg.From
		},
		OnHit: s.hit,
	}
	var err error
	s.proxy, err = proxy.Start(ctx, cfg)
	return err
}

// hit writes a fault down.
func (s *side) hit(h *proxy.Hit) {
	s.book.struck.Add(1)
	if h.Fault.Kind == proxy.DropHeartbeat && s.app != nil {
		s.app.cutOff(strings.TrimPrefix(h.Client, s.role+"-"))
	}
	if len(h.Batches) == 0 {
		s.book.add(history.Event{Kind: history.Fault, Why: string(h.Fault.Kind) + " of " + h.API, Partition: -1, Offset: -1})
	}
	for _, b := range h.Batches {
		e := history.Event{Kind: history.Fault, Why: string(h.Fault.Kind), Topic: s.topic, Partition: b.Partition, Offset: -1}
		if len(b.Chosen) > 0 && b.Chosen[0].Number != nil && *b.Chosen[0].Number > 0 {
			e.Key, e.Number = history.BytesKey(b.Chosen[0].Key), *b.Chosen[0].Number
		}
		s.book.add(e)
	}
	s.hits.mu.Lock()
	defer s.hits.mu.Unlock()
	s.hits.n++
	if h.Late != nil {
		s.late[*h.Late]++
	}
	if s.role == "subject" && s.cfg.Hits != nil && s.hits.err == nil {
		s.hits.err = proxy.WriteHit(s.cfg.Hits, h)
	}
}

// heal ends the faults, and waits until what each did is known. A fault that had
// begun may also be taken back, of which nobody tells: so it looks again and again.
func (s *side) heal(ctx context.Context) error {
	s.proxy.Heal()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(healLimit)
	defer late.Stop()
	for {
		var begun int64
		for _, c := range s.proxy.Facts().Counts {
			begun += c.Requests
		}
		s.hits.mu.Lock()
		known, err := s.hits.n, s.hits.err
		s.hits.mu.Unlock()
		if known >= begun {
			return err
		}
		select {
		case <-tick.C:
		case <-late.C:
			s.beside = append(s.beside, fmt.Sprintf("Of %d faults of the %s the outcome is not known.", begun-known, s.role))
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// healLimit is how long the outcome of a fault may take: longer than the proxy waits
// for a broker's answer.
const healLimit = 15 * time.Second

// addr is where clients of the side connect to.
func (s *side) addr() string {
	if s.at != "" {
		return s.at
	}
	return s.proxy.Addr()
}

// session is that of the members. Real brokers allow none below 6 s by default.
func (s *side) session() time.Duration {
	if s.cfg.session > 0 {
		return s.cfg.session
	}
	return 6 * time.Second
}

// client gives the options of a client that goes through the proxy.
func (s *side) client(id string, more ...kgo.Opt) []kgo.Opt {
	opts := append([]kgo.Opt{kgo.SeedBrokers(s.addr()), kgo.ClientID(id)}, s.cfg.Opts...)
	return append(opts, more...)
}

// tailLimit is how long the end of a side may take: what is held is released, and
// the log is read.
const tailLimit = 2 * time.Minute

// run does the side's work. It ends early, and in order, when stop is closed; what
// then follows (the end of the faults, the reading of the log) is done all the same.
func (s *side) run(ctx context.Context, stop <-chan struct{}) (err error) {
	if s.who.Kind == Program && s.cfg.Workload == Consumer {
		return s.runCrew(ctx, stop)
	}
	if s.cfg.Workload == Consumer {
		if err := s.fill(ctx); err != nil {
			return err
		}
		kind := history.Log
		if s.cfg.effects {
			kind = history.LogRead
		}
		if err := s.readLog(ctx, kind); err != nil {
			return err
		}
	}
	if err := s.through(ctx); err != nil {
		return err
	}
	if s.cfg.Workload.consumes() {
		s.app = newApp(s)
		defer func() { err = errors.Join(err, s.app.close()) }()
		if err := s.app.start(ctx); err != nil {
			return err
		}
	}
	if s.cfg.Workload.writes() {
		if s.app != nil && s.app.processes == nil {
			s.app.awaitOwners(ctx, stop)
		}
		if err := s.write(ctx, stop); err != nil {
			return err
		}
	}
	tail, cancel := context.WithTimeoutCause(ctx, tailLimit, fmt.Errorf("the faults were not over %s after the end", tailLimit))
	defer cancel()
	if s.cfg.Workload == Consumer {
		s.app.await(ctx, stop, int64(s.cfg.Keys*s.cfg.Records))
		s.app.awaitStrike(ctx)
		return s.heal(tail)
	}
	if err := s.heal(tail); err != nil {
		return err
	}
	if err := s.readLog(tail, history.LogRead); err != nil {
		return err
	}
	s.judgeProgram()
	if s.app != nil {
		s.app.await(ctx, stop, s.read)
	}
	return nil
}

// end closes what is open and gives what was found.
func (s *side) end() (judge.Run, error) {
	var err error
	if s.proxy != nil {
		err = s.proxy.Close()
	}
	if s.cut {
		s.book.reopen(history.Options{NoTokens: s.who.Kind != Orderly})
	}
	run, berr := s.book.close(s.who.name(s.cfg.Workload, s.cfg.Version))
	return run, errors.Join(err, berr)
}

// discard gives the side up.
func (s *side) discard() error {
	if s == nil {
		return nil
	}
	var err error
	if s.proxy != nil {
		err = s.proxy.Close()
	}
	return errors.Join(err, s.book.remove())
}
