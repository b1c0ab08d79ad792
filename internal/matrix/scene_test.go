//go:build unix

package matrix

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// patience is how long anything is waited for before a scene fails.
	patience   = 2 * time.Minute
	partitions = 6
	soakRuns   = 10
)

// A scene is one run of one test.
type scene struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	dir     string // logs
	session time.Duration

	topic, group string
	parking      string // the parking topic; empty: nothing is parked
	fixed        bool   // no key is bad any more
	watch        *watch
	cl           *kgo.Client
	adm          *kadm.Client
	h            *chronicle
	members      []*process
	loads        []*load
	logs         *os.File
	moved        int                     // partitions given up between running and finish
	held         map[int32][]*kgo.Record // what the log held in the end
}

// play runs a scene once, or in a soak often, each time with another seed. The
// scene ends with its verdict.
func play(t *testing.T, session time.Duration, f func(s *scene)) {
	if !cluster(t) {
		return
	}
	seed := rand.Uint64() >> 32
	if given := os.Getenv("ORDERLY_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("ORDERLY_SEED is a number: %v", err)
		}
	}
	runs := 1
	if os.Getenv("ORDERLY_SOAK") == "1" {
		runs = soakRuns
	}
	for i := range uint64(runs) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			t.Logf("seed %d (ORDERLY_SEED=%d repeats it)", seed+i, seed+i)
			s := newScene(t, seed+i, session)
			defer s.close()
			f(s)
		})
		if t.Failed() {
			return // one is enough to look at
		}
	}
}

func newScene(t *testing.T, seed uint64, session time.Duration) *scene {
	t.Helper()
	s := &scene{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), session: session,
		topic: kafkatest.Name(t, "t"), group: kafkatest.Name(t, "g"), h: newChronicle()}
	var err error
	if s.logs, err = os.Create(filepath.Join(s.dir, "test.log")); err != nil {
		t.Fatal(err)
	}
	if s.cl, err = kgo.NewClient(append(impatient(), kgo.SeedBrokers(shared.c.Addrs()...))...); err != nil {
		t.Fatal(err)
	}
	s.adm = kadm.NewClient(s.cl)
	shared.repair(t)
	return s
}

// close ends what is left, whatever happened.
func (s *scene) close() {
	for _, p := range s.members {
		p.end() // frozen or not
	}
	for _, l := range s.loads {
		select {
		case <-l.halt:
		default:
			close(l.halt)
			l.wg.Wait()
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // at once
			_ = l.p.Close(ctx)
		}
	}
	if s.watch != nil {
		s.watch.end()
	}
	if s.t.Failed() {
		s.t.Log(s.save())
	}
	s.cl.Close()
	s.logs.Close()
}

func (s *scene) logger(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Writer(s.logs), &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", name)
}

// until waits for a condition.
func (s *scene) until(what string, condition func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s until: %s", patience, what)
		}
		for _, p := range s.members {
			if !p.alive() && p.err != nil && !p.killed() {
				s.t.Fatalf("member %s has ended (%v) while the test waited until: %s", p.name, p.err, what)
			}
		}
		for _, l := range s.loads {
			if err := l.failure(); err != nil {
				s.t.Fatalf("the producer has failed a record (%v) while the test waited until: %s", err, what)
			}
		}
	}
}

// create makes the scene's topic, with each partition's leader chosen among the
// nodes, and returns when every broker knows it.
func (s *scene) create(leaders ...int32) {
	s.t.Helper()
	s.createTopic(s.topic, nil, leaders...)
	s.whole()
}

// createTopic makes a topic with each partition's leader chosen among the nodes.
func (s *scene) createTopic(name string, configs map[string]string, leaders ...int32) {
	s.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for p := range int32(partitions) {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = p
		first := leaders[int(p)%len(leaders)]
		a.Replicas = []int32{first, first%3 + 1, (first+1)%3 + 1}
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = "min.insync.replicas", kmsg.StringPtr("2")
	t.Configs = append(t.Configs, c)
	for name, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(value)
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		s.t.Fatalf("creating topic %s: %v %+v", name, err, resp)
	}
}

// whole waits until all nodes are up and have all replicas, and each of them says
// so. The topic of the groups' offsets is made when the first group is looked for.
func (s *scene) whole() {
	s.t.Helper()
	s.until("there is a coordinator", func() bool { return s.coordinator() != 0 })
	s.until("all replicas are in sync", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		topics := []string{s.topic, "__consumer_offsets"}
		if s.parking != "" {
			topics = append(topics, s.parking)
		}
		return whole(ctx, s.cl, topics...)
	})
}

// running starts two members and a producer, and waits until both have half of
// the partitions and a part of the records, at random, is done.
func (s *scene) running(change ...func(*config)) (a, b *process, l *load) {
	s.t.Helper()
	a, b = s.start("a", change...), s.start("b")
	l = s.load()
	s.shares(a, b)
	s.more(l, 100+s.rng.IntN(300))
	s.moved = -s.releases()
	return a, b, l
}

// shares waits until the members share the partitions.
func (s *scene) shares(a, b *process) {
	s.t.Helper()
	s.until("both members have their part", func() bool {
		return s.h.owned(a.name) == partitions/2 && s.h.owned(b.name) == partitions/2
	})
}

// more waits until that many more records are acknowledged, and that many done.
func (s *scene) more(l *load, n int) {
	s.t.Helper()
	acked, done := l.acknowledged()+n, s.h.handled()+n
	s.until(fmt.Sprintf("%d more records are written and done", n), func() bool { return l.acknowledged() >= acked && s.h.handled() >= done })
}

// finish ends the load and, when all is done, the members.
func (s *scene) finish() {
	s.t.Helper()
	for _, l := range s.loads {
		l.stop()
	}
	for _, l := range s.loads {
		l.handled()
	}
	// Here, and not by the members' last commits: one that leaves while another's
	// leaving makes the group join anew may be refused it.
	s.until("all is committed", func() bool {
		committed := make(map[int32]int64)
		for _, e := range s.commits() {
			committed[e.Partition] = e.Offset
		}
		for _, l := range s.loads {
			for p, end := range l.ends() {
				if committed[p] != end {
					return false
				}
			}
		}
		return true
	})
	s.moved += s.releases()
	for _, p := range s.members {
		if p.alive() {
			p.leave()
		}
	}
}
