package prove

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Both kinds of members commit so often, and wait a random time below a bound that
// doubles before they try a failed record again.
const (
	commitEvery  = 100 * time.Millisecond
	firstPause   = 10 * time.Millisecond
	longestPause = 40 * time.Millisecond
	heartbeat    = 200 * time.Millisecond
	rebalance    = 6 * time.Second
)

// runOurs is what a user of the library writes, with what is written down around
// it.
func (a *app) runOurs(ctx context.Context, name string) error {
	s := a.s
	cfg := orderly.ConsumerConfig{
		Brokers: []string{s.addr()}, Group: s.group, Topics: []string{s.topic},
		Handler: func(ctx context.Context, m *orderly.Message) error {
			a.owns(name, m.Partition, m.FencingToken, false)
			return a.handles(ctx, name, m.Record, m.FencingToken, m.Attempt)
		},
		// Nothing is parked: that would make a topic of the parking's own.
		OnExhausted: orderly.PolicyBlock,
		// The planned failures hit many keys together, which is how an outage looks. The
		// breaker would wait for its end, and the experiment with it.
		Breaker:        orderly.Breaker{Disabled: true},
		Retry:          orderly.Retry{Backoff: firstPause, MaxBackoff: longestPause},
		CommitInterval: commitEvery,
		SessionTimeout: s.session(), RebalanceTimeout: rebalance, HeartbeatInterval: heartbeat,
		StartTimeout: s.cfg.Limit,
		Events: orderly.Events{
			Assigned: func(e orderly.AssignedEvent) { a.owns(name, e.Partition, e.FencingToken, !e.Regranted) },
			Revoked:  func(e orderly.RevokedEvent) { a.gives(name, e.Partition, e.FencingToken, false) },
			Lost:     func(e orderly.LostEvent) { a.gives(name, e.Partition, e.FencingToken, true) },
			Committed: func(e orderly.CommittedEvent) {
				if e.Err == nil {
					a.commits(name, e.Partition, e.Offset, e.FencingToken)
				}
			},
		},
		Logger:    slog.New(slog.DiscardHandler),
		KafkaOpts: append([]kgo.Opt{kgo.ClientID(s.role + "-" + name), kgo.MetadataMinAge(20 * time.Millisecond), kgo.WithHooks(&polls{a, name})}, s.cfg.Opts...),
	}
	a.parks(&cfg, name)
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// polls hears of each record that a client hands over.
type polls struct {
	a    *app
	name string
}

func (p *polls) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if polled && !r.Attrs.IsControl() {
		p.a.polled(p.name, r)
	}
}

// runFranz is a member that was written with the client alone.
func (a *app) runFranz(ctx context.Context, name string) error {
	s, c := a.s, &a.s.who.Client
	careful := c.Workers == 1
	each := func(parts map[string][]int32, f func(int32)) {
		for _, p := range parts[s.topic] {
			f(p)
		}
	}
	opts := append(hasty(),
		kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(s.session()), kgo.RebalanceTimeout(rebalance), kgo.HeartbeatInterval(heartbeat),
		kgo.WithHooks(&polls{a, name}),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			each(parts, func(p int32) { a.owns(name, p, 0, true) })
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			each(parts, func(p int32) { a.gives(name, p, 0, true) })
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			// Whoever has workers gives a partition up under them: to write that
			// down as an orderly release would hide it.
			if careful || !a.strict() {
				each(parts, func(p int32) { a.gives(name, p, 0, false) })
			} else {
				each(parts, func(p int32) { a.forgets(name, p) })
			}
		}),
	)
	report := func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			a.acknowledged(name, req, resp)
		}
	}
	if c.AutoCommit {
		opts = append(opts, kgo.AutoCommitInterval(commitEvery), kgo.AutoCommitCallback(report))
	} else {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	if careful {
		opts = append(opts, kgo.BlockRebalanceOnPoll())
	}
	if c.Static {
		opts = append(opts, kgo.InstanceID(name))
	}
	if c.Eager {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	cl, err := kgo.NewClient(s.client(s.role+"-"+name, opts...)...)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	slots := make(chan struct{}, c.Workers)
	var inRow row
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		fs := cl.PollRecords(ctx, 200)
		fs.EachRecord(func(r *kgo.Record) {
			if careful {
				a.handlePlainly(name, r, slots, &inRow)
				return
			}
			wg.Go(func() { a.handlePlainly(name, r, slots, &inRow) })
		})
		if !c.AutoCommit && fs.NumRecords() > 0 {
			limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.session())
			cl.CommitOffsetsSync(limit, cl.UncommittedOffsets(), report)
			cancel()
		}
		if careful {
			cl.AllowRebalance()
		}
	}
	return nil
}

// forgets lets a partition's next assignment be told again.
func (a *app) forgets(member string, partition int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tokens[member], partition)
	a.given++
}

// acknowledged writes down the offsets that the broker has taken.
func (a *app) acknowledged(member string, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	refused := map[int32]bool{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			refused[p.Partition] = p.ErrorCode != 0
		}
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if !refused[p.Partition] {
				a.commits(member, p.Partition, p.Offset, 0)
			}
		}
	}
}

// parks sets the consumer up for records that fail until much later: it parks their
// keys, and asks the dependency whether it is back.
func (a *app) parks(cfg *orderly.ConsumerConfig, name string) {
	s := a.s
	if !s.who.Parks {
		return
	}
	cfg.OnExhausted, cfg.Retry.MaxAttempts = orderly.PolicyPark, max(s.who.Client.Attempts, 1)
	cfg.Parking = orderly.Parking{Prefix: s.parkingPrefix(), First: 50 * time.Millisecond}
	cfg.Events.Parked = func(e orderly.ParkedEvent) {
		if !e.Before {
			a.aside.Add(1)
		}
		s.book.add(history.Event{Kind: history.Park, Member: name, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Token: e.FencingToken})
	}
	if s.cfg.outage > 0 {
		cfg.Breaker = orderly.Breaker{ProbeInterval: fixedPause, Probe: func(context.Context) error {
			if a.down.Load() {
				return errDown
			}
			return nil
		}}
	}
}

func (s *side) parkingPrefix() string { return s.world.prefix + "parked" }
