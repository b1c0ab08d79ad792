// Package embedded starts Kafka brokers in this process (kfake), in whose groups nobody
// stays who is dead.
package embedded

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Cluster does for its groups what Kafka does and kfake does not: the session of a
// member begins when its JoinGroup is answered, whether the answer reaches it or not. In
// kfake it begins when the answer was sent: a member whose process is killed while it
// waits for that stays in the group for ever, and nobody else gets its partitions.
// Cluster beats the heart of every member once in each generation, which begins their
// sessions. It connects without credentials: with SASL nothing of that happens.
type Cluster struct {
	*kfake.Cluster
	cl     *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	news   chan struct{} // of size 1: something was added to begun

	mu    sync.Mutex
	begun map[generation]struct{}
}

type generation struct {
	group  string
	number int32
}

// limit is how long a heartbeat may take: the broker is in this process.
const limit = 5 * time.Second

// New starts a cluster.
func New(opts ...kfake.Opt) (*Cluster, error) {
	fake, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...), kgo.ClientID("orderly-embedded"), kgo.DisableClientMetrics())
	if err != nil {
		fake.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Cluster{Cluster: fake, cl: cl, cancel: cancel, done: make(chan struct{}), news: make(chan struct{}, 1), begun: map[generation]struct{}{}}
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, Observe: true, Count: -1, When: c.synced})
	go c.run(ctx)
	return c, nil
}

// Close ends the cluster. It may be called more than once.
func (c *Cluster) Close() {
	c.cancel()
	<-c.done
	c.cl.Close()
	c.Cluster.Close()
}

// synced takes note of a SyncGroup: all JoinGroups of its generation are answered.
func (c *Cluster) synced(r kmsg.Request) bool {
	req := r.(*kmsg.SyncGroupRequest)
	c.mu.Lock()
	c.begun[generation{req.Group, req.Generation}] = struct{}{}
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return true
}

func (c *Cluster) run(ctx context.Context) {
	defer close(c.done)
	beaten := map[string]int32{} // by group, the last generation
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		}
		c.mu.Lock()
		begun := c.begun
		c.begun = map[generation]struct{}{}
		c.mu.Unlock()
		for g := range begun {
			if n, is := beaten[g.group]; (!is || n != g.number) && c.beat(ctx, g) {
				beaten[g.group] = g.number
			}
		}
	}
}

// beat begins the sessions of a generation's members. It does not touch those of members
// that wait in a JoinGroup for the next one. It reports false when that generation is not
// the group's.
func (c *Cluster) beat(ctx context.Context, g generation) bool {
	info := c.GroupInfo(g.group)
	if info == nil || info.Epoch != g.number || info.State == "PreparingRebalance" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, m := range info.Members {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.Generation, req.MemberID, req.InstanceID = g.group, g.number, m.MemberID, m.InstanceID
		// What it says is said to the member too.
		_, _ = req.RequestWith(ctx, c.cl)
	}
	return true
}
