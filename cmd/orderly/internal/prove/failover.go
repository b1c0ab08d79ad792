package prove

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Nodes are three brokers that may be killed: never somebody's, for all topics of a
// cluster are struck then.
type Nodes interface {
	Addrs() []string
	Pause(id int) error
	Resume(id int) error
	Kill(id int) error
	Restart(ctx context.Context, id int) error
}

// A partition of the scenarios of nodes: who has it, and how its topic is set.
type placed struct {
	replicas []int32 // the first is its leader, and the one that is killed
	configs  map[string]string
}

const leader = 1

// A failing is a case while brokers die. All cases run side by side, on topics of
// their own: one kill strikes all of them.
type failing struct {
	*side
	one     *Case
	out     sender
	sent    int           // records
	killed  time.Time     // the leader
	silence time.Duration // until a record was acknowledged since
	mu      sync.Mutex
}

// needNodes says what a scenario of nodes needs.
func (c *Config) needNodes() error {
	switch {
	case len(c.Brokers) > 0:
		return refusef("this scenario kills brokers, and so starts three of its own: leave the brokers out, and name a Kafka that it can start (--kafka-home)")
	case c.Nodes == nil:
		return refusef("this scenario kills brokers, and so starts three of its own: it needs Java 17 or newer, and a download of Apache Kafka: --kafka-home DIR " +
			"(the directory that has bin and libs)")
	}
	return nil
}

// openFailing makes the topics, and waits until the leaders are where they belong.
func openFailing(ctx context.Context, sc *Scenario, c *Config, w *world) (all []*failing, err error) {
	for i := range sc.Cases {
		one := &sc.Cases[i]
		// A node that is not killed.
		s := &side{cfg: c, world: w, who: &one.who, role: fmt.Sprintf("case-%d", i+1), seq: ".n", at: c.Nodes.Addrs()[1]}
		f := &failing{side: s, one: one}
		if s.number, err = naming(s.seq); err != nil {
			return all, err
		}
		if s.book, err = newBook(history.Options{Complete: true}); err != nil {
			return all, err
		}
		all = append(all, f)
		if s.topic, err = w.place(ctx, s.role, one.on); err != nil {
			return all, err
		}
		out, err := s.sender()
		if err != nil {
			return all, err
		}
		f.out = &timed{out, f}
	}
	return all, w.until(ctx, all, "its leader to be the first replica, and all in sync", func(f *failing, p kmsg.MetadataResponseTopicPartition) bool {
		return p.Leader == leader && len(p.ISR) == len(f.one.on.replicas)
	})
}

// place makes a topic of one partition, on the nodes that are named.
func (w *world) place(ctx context.Context, role string, on placed) (string, error) {
	name := w.prefix + role
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	t.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: on.replicas}}
	for k, v := range on.configs {
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, w.cl)
	if err == nil && len(resp.Topics) == 1 {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return "", &ClusterError{"topic " + name + " cannot be made", err}
	}
	w.topics = append(w.topics, name)
	return name, w.known(ctx, name)
}

// until waits until all partitions are as they should be.
func (w *world) until(ctx context.Context, all []*failing, what string, is func(*failing, kmsg.MetadataResponseTopicPartition) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nodesLimit, fmt.Errorf("not within %s", nodesLimit))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req := kmsg.NewPtrMetadataRequest()
		for _, f := range all {
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(f.topic)})
		}
		one, end := context.WithTimeout(ctx, time.Second) // a node that is stopped does not answer
		resp, err := req.RequestWith(one, w.cl)
		end()
		if err == nil {
			as := 0
			for i, t := range resp.Topics {
				if len(t.Partitions) == 1 && i < len(all) && is(all[i], t.Partitions[0]) {
					as++
				}
			}
			if as == len(all) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return &ClusterError{"waiting for " + what, context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

// nodesLimit is how long the cluster may take to notice that a node is gone, or back.
const nodesLimit = time.Minute

// give has the client send the next records.
func (f *failing) give(ctx context.Context, n int) {
	for range n {
		f.send(ctx, f.out, f.sent)
		f.sent++
	}
}

// A timed sender sees when records are acknowledged.
type timed struct {
	sender
	f *failing
}

func (t *timed) produce(ctx context.Context, r *kgo.Record, done func(*kgo.Record, error)) {
	t.sender.produce(ctx, r, func(r *kgo.Record, err error) {
		t.f.mu.Lock()
		if err == nil && !t.f.killed.IsZero() && t.f.silence == 0 {
			t.f.silence = time.Since(t.f.killed)
		}
		t.f.mu.Unlock()
		done(r, err)
	})
}

func (f *failing) dead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = time.Now()
}

// giveAll has all clients send their next third.
func giveAll(ctx context.Context, all []*failing) {
	for _, f := range all {
		f.give(ctx, f.cfg.Keys*f.cfg.Records/3)
	}
}

// answered waits until the clients have an answer for all that they were given.
func answered(ctx context.Context, all []*failing) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nodesLimit, fmt.Errorf("not within %s", nodesLimit))
	defer cancel()
	for _, f := range all {
		if err := f.out.flush(ctx); err != nil {
			return &ClusterError{"case " + f.one.Name + ": waiting for the answers", errors.Join(err, context.Cause(ctx))}
		}
	}
	return nil
}

// A deed is what is done to the nodes, and how long.
type deed func(ctx context.Context, c *Config, w *world, all []*failing) error

// onNodes runs all cases of a scenario at once: a third of the records before the
// deed, a third in it, and the rest when it is over.
func onNodes(do deed) func(context.Context, *Scenario, *Config) ([]CaseResult, error) {
	return func(ctx context.Context, sc *Scenario, c *Config) (res []CaseResult, err error) {
		c.Subject, c.Control = sc.Cases[0].who, sc.Cases[0].who
		if err := c.settle(); err != nil {
			return nil, err
		}
		inner := *c
		inner.Brokers = c.Nodes.Addrs()
		w, err := openWorld(ctx, &inner)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.close(ctx)) }()
		all, err := openFailing(ctx, sc, &inner, w)
		defer func() {
			for _, f := range all {
				if f.out != nil {
					f.out.close(ctx)
				}
				err = errors.Join(err, f.book.remove())
			}
		}()
		if err != nil {
			return nil, err
		}
		giveAll(ctx, all)
		if err := answered(ctx, all); err != nil {
			return nil, err
		}
		if err := do(ctx, &inner, w, all); err != nil {
			return nil, err
		}
		for _, f := range all {
			if err := f.readLog(ctx, history.LogRead); err != nil {
				return nil, err
			}
			run, err := f.book.close(f.who.name(Producer, c.Version) + ", " + f.one.on.words())
			if err != nil {
				return nil, err
			}
			r := f.one.result(&inner, run, f.doubts)
			r.Facts = append([]string{fmt.Sprintf("acknowledged: %d", run.Report.Acked)}, r.Facts...)
			if f.silence > 0 {
				r.Facts = append(r.Facts, fmt.Sprintf("nothing was acknowledged for %s", f.silence.Round(100*time.Millisecond)))
			}
			res = append(res, r)
		}
		return res, nil
	}
}

// words say how the topic is.
func (p *placed) words() string {
	parts := []string{fmt.Sprintf("%d replicas", len(p.replicas))}
	for _, name := range []string{minISR, unclean} {
		if v := p.configs[name]; v != "" {
			parts = append(parts, name+"="+v)
		}
	}
	return strings.Join(parts, ", ")
}

func noteAll(all []*failing, why string) {
	for _, f := range all {
		f.book.add(history.Event{Kind: history.Fault, Why: why, Topic: f.topic, Partition: -1, Offset: -1})
	}
}
