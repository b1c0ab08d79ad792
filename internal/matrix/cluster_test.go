//go:build unix

package matrix

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(memberEnv); config != "" {
		os.Exit(runMember(config))
	}
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// A sharedCluster is what all scenes use, one after the other.
type sharedCluster struct {
	once  sync.Once
	c     *kafkatest.Cluster
	creds kafkatest.Credentials
	dir   string
	err   error
	down  map[int]bool // killed or frozen by a scene
}

var shared sharedCluster

// cluster starts it, once. ok is false where Kafka cannot be started.
func cluster(t *testing.T) (ok bool) {
	t.Helper()
	if !kafkatest.Require(t, kafkatest.Latest) {
		return false
	}
	shared.once.Do(func() {
		// Not of the test's context: it outlives it.
		shared.err = shared.start(context.Background())
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return true
}

func (s *sharedCluster) start(ctx context.Context) (err error) {
	s.down = make(map[int]bool)
	if s.dir, err = os.MkdirTemp("", "orderly-matrix-"); err != nil {
		return err
	}
	opts := kafkatest.Options{Nodes: 3, Properties: map[string]string{
		// A dead leader is replaced after this time.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",
		"offsets.topic.num.partitions": "3",
	}}
	if s.creds, err = opts.Secure(s.dir); err != nil {
		return err
	}
	s.c, err = kafkatest.Start(ctx, opts)
	return err
}

func (s *sharedCluster) close() error {
	var err error
	if s.c != nil {
		err = s.c.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	return err
}

// kill, freeze, thaw and restart do to a node what they say. What a scene leaves
// dead or frozen, the next one finds up again.
func (s *scene) kill(node int) {
	s.t.Helper()
	s.t.Logf("kill -9 of broker %d", node)
	shared.down[node] = true
	if err := shared.c.Kill(node); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) freeze(node int) {
	s.t.Helper()
	s.t.Logf("SIGSTOP of broker %d", node)
	shared.down[node] = true
	if err := shared.c.Pause(node); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) thaw(node int) {
	s.t.Helper()
	s.t.Logf("SIGCONT of broker %d", node)
	if err := shared.c.Resume(node); err != nil {
		s.t.Fatal(err)
	}
	delete(shared.down, node)
}

func (s *scene) restart(node int) {
	s.t.Helper()
	s.t.Logf("restart of broker %d", node)
	shared.down[node] = true
	if err := shared.c.Restart(context.Background(), node); err != nil {
		s.t.Fatal(err)
	}
	delete(shared.down, node)
}

// repair brings back what a scene that failed has left down.
func (s *sharedCluster) repair(t *testing.T) {
	for node := range s.down {
		// Killed first: a frozen one would not end by itself.
		if err := s.c.Kill(node); err != nil {
			t.Error(err)
		}
		if err := s.c.Restart(context.Background(), node); err != nil {
			t.Error(err)
			continue
		}
		delete(s.down, node)
	}
}

// whole says that all nodes are up, and that each of them says that all replicas
// of these topics are in sync.
func whole(ctx context.Context, cl *kgo.Client, topics ...string) bool {
	for node := range 3 {
		req := kmsg.NewPtrMetadataRequest()
		for _, name := range topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &name
			req.Topics = append(req.Topics, t)
		}
		resp, err := req.RequestWith(ctx, cl.Broker(node+1))
		if err != nil || len(resp.Brokers) != 3 {
			return false
		}
		for _, t := range resp.Topics {
			if t.ErrorCode != 0 || len(t.Partitions) == 0 {
				return false
			}
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 || len(p.ISR) != len(p.Replicas) {
					return false
				}
			}
		}
	}
	return true
}

// leader is the node that leads a partition, as the brokers that answer say; 0
// when there is none.
func (s *scene) leader(partition int32) int { return s.leaderOf(s.topic, partition) }

func (s *scene) leaderOf(topic string, partition int32) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	md, err := s.adm.Metadata(ctx, topic)
	if err != nil {
		return 0
	}
	p := md.Topics[topic].Partitions[partition]
	if p.Err != nil || !slices.Contains(md.Brokers.NodeIDs(), p.Leader) {
		return 0
	}
	return int(p.Leader)
}

// coordinator is the node that coordinates the group; 0 when there is none.
func (s *scene) coordinator() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found := s.adm.FindGroupCoordinators(ctx, s.group)
	c, ok := found[s.group]
	if !ok || c.Err != nil {
		return 0
	}
	return int(c.NodeID)
}

// impatient makes clients notice sooner that a broker no longer answers: by
// default a request waits for 10 s and more.
func impatient() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequestTimeoutOverhead(2 * time.Second), kgo.ProduceRequestTimeout(2 * time.Second),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.DialTimeout(2 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
}
