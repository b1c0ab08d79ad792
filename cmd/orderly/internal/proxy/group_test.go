package proxy

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A member is a consumer of a group that says what it owns.
type member struct {
	*kgo.Client
	mu    sync.Mutex
	more  *sync.Cond
	owned map[int32]bool
	lost  int // times that something was taken from it
}

func join(t testing.TB, addrs []string, id string, opts ...kgo.Opt) *member {
	t.Helper()
	m := &member{owned: make(map[int32]bool)}
	m.more = sync.NewCond(&m.mu)
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range parts[testTopic] {
				if m.owned[p] = owned; !owned {
					delete(m.owned, p)
					m.lost++
				}
			}
			m.more.Broadcast()
		}
	}
	m.Client = client(t, addrs, append([]kgo.Opt{
		kgo.ClientID(id), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics(testTopic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, opts...)...)
	return m
}

func (m *member) await(t testing.TB, what string, ok func(owned, lost int) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { m.mu.Lock(); m.more.Broadcast(); m.mu.Unlock() })()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !ok(len(m.owned), m.lost) {
		if ctx.Err() != nil {
			t.Fatalf("waited %s for: %s; it owns %v", patience, what, m.owned)
		}
		m.more.Wait()
	}
}

func all(owned, _ int) bool { return owned == testParts }

// Heartbeats that are answered but not passed on make two owners: the coordinator
// takes the member for dead, and the member itself for alive. Without the fault
// nobody loses anything.
func TestDroppedHeartbeats(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			c := startCluster(t, 3, kfake.BrokerConfigs(map[string]string{
				"group.min.session.timeout.ms": "100", "group.consumer.session.timeout.ms": "1500", "group.consumer.min.session.timeout.ms": "100",
				"group.consumer.heartbeat.interval.ms": "200", "group.consumer.min.heartbeat.interval.ms": "100",
			}))
			opts := []kgo.Opt{kgo.SessionTimeout(1500 * time.Millisecond), kgo.HeartbeatInterval(200 * time.Millisecond)}
			if protocol == "consumer" {
				opts = append(opts, kgo.ServerSideBalancer())
			}
			f, err := ParseFault("drop-heartbeat:client=zombie,skip=6,times=1000000")
			if err != nil {
				t.Fatal(err)
			}
			p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}})
			zombie := join(t, []string{p.Addr()}, "zombie", opts...)
			zombie.await(t, "all partitions", all)
			p.await(t, "a heartbeat dropped", func(hits []Hit) bool { return len(hits) > 0 })
			heir := join(t, c.ListenAddrs(), "heir", opts...)
			heir.await(t, "what is the zombie's", all)
			zombie.mu.Lock()
			defer zombie.mu.Unlock()
			if len(zombie.owned) != testParts || zombie.lost != 0 {
				t.Errorf("the zombie knows that it has lost: %v", zombie.owned)
			}
		})
	}
}

// A coordinator's error is overcome: the commit comes through.
func TestCoordinatorErrors(t *testing.T) {
	for _, fault := range []string{
		"coordinator-error:api=OffsetCommit,times=2", "coordinator-error:error=14,api=OffsetCommit,times=2", "coordinator-error:api=FindCoordinator,error=15,times=2",
		"coordinator-error:api=JoinGroup", "coordinator-error:api=SyncGroup", "coordinator-error:api=OffsetFetch", "coordinator-error:api=OffsetFetch,error=14", "coordinator-error:api=Heartbeat,error=27",
		"lost-ack:api=OffsetCommit", "cut:api=JoinGroup", "delay:for=20ms,api=SyncGroup", "hold:for=20ms,api=Heartbeat",
	} {
		t.Run(fault, func(t *testing.T) {
			f, err := ParseFault(fault)
			if err != nil {
				t.Fatal(err)
			}
			f.Group = "billing"
			if f.API == "FindCoordinator" {
				f.Group = ""
			}
			c := startCluster(t, 3)
			p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}})
			write(t, c.ListenAddrs()[0], 400, safe...)
			m := join(t, []string{p.Addr()}, "reader", kgo.HeartbeatInterval(50*time.Millisecond))
			read := 0
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for read < 400 {
				fs := m.PollFetches(ctx)
				if ctx.Err() != nil {
					t.Fatalf("read %d of 400", read)
				}
				read += fs.NumRecords()
			}
			for committed(t, c) != 400 {
				// A commit that is refused is the caller's to make again; what was
				// taken away by the fault is read again.
				err := m.CommitUncommittedOffsets(ctx)
				if ctx.Err() != nil {
					t.Fatalf("%d of 400 are committed: %v", committed(t, c), err)
				}
				short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
				m.PollFetches(short)
				stop()
			}
			p.await(t, "the faults", func(hits []Hit) bool { return len(hits) > 0 })
		})
	}
}

func committed(t testing.TB, c *kfake.Cluster) (sum int64) {
	t.Helper()
	cl := client(t, c.ListenAddrs())
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "billing")
	if err != nil {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	return sum
}

// A consumer overcomes fetch errors in order, without loss.
func TestFetchErrors(t *testing.T) {
	for _, fault := range []string{"fetch-error:share=1/50", "fetch-error:share=1/50,error=3", "fetch-error:share=1/200,times=2,topic=orders", "cut:api=Fetch,times=3", "lost-ack:api=Fetch,times=3", "delay:for=10ms,api=Fetch,times=5"} {
		f, err := ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		c := startCluster(t, 3)
		write(t, c.ListenAddrs()[0], 2000, safe...)
		p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}, Identify: byValue, Seed: 5})
		if got := readLog(t, []string{p.Addr()}); got != (tally{records: 2000, distinct: 2000}) {
			t.Errorf("%s: %v", fault, got)
		}
		facts := p.Facts()
		if n := facts.Counts[0].Chosen; n < 3 {
			t.Errorf("%s: struck %d", fault, n)
		}
		if facts.Clients[0].FetchedRecords < 2000 {
			t.Errorf("%s: %+v", fault, facts)
		}
	}
}

// Transactions pass, and with lost answers and refused batches too.
func TestTransactions(t *testing.T) {
	for _, fault := range []string{"", "lost-ack:share=1/50", "refuse:error=6,share=1/50", "lost-ack:api=EndTxn,skip=3", "coordinator-error:api=EndTxn,skip=3,times=2", "delay:api=EndTxn,for=10ms,times=2"} {
		var faults []Fault
		if fault != "" {
			f, err := ParseFault(fault)
			if err != nil {
				t.Fatal(err)
			}
			faults = append(faults, f)
		}
		c := startCluster(t, 3)
		p := startProxy(t, c.ListenAddrs(), Config{Faults: faults, Identify: byValue, Seed: 5})
		cl := client(t, []string{p.Addr()}, kgo.ClientID(testClient), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic(testTopic), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
		for i := 0; i < 1000; i += 100 {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(fault, err)
			}
			for j := range 100 {
				cl.Produce(t.Context(), numberedRecord(i+j), func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(fault, err)
					}
				})
			}
			if err := cl.Flush(t.Context()); err != nil {
				t.Fatal(fault, err)
			}
			if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Fatal(fault, err)
			}
		}
		if got := readLog(t, c.ListenAddrs()); got != (tally{records: 1000, distinct: 1000}) {
			t.Errorf("%s: %v", fault, got)
		}
		if fault != "" && p.Facts().Counts[0].Chosen < 1 {
			t.Errorf("%s: struck too few: %+v", fault, p.Facts().Counts)
		}
	}
}
