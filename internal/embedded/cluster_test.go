package embedded

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A busy machine does not keep the living from beating their hearts in time.
const session = 3 * time.Second

// A member speaks for one member of a group.
type member struct {
	t          *testing.T
	cl         *kgo.Client
	group, id  string
	generation int32
}

func newMember(t *testing.T, c *Cluster, group string) *member {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	m := &member{t: t, cl: cl, group: group}
	resp, err := m.joinRequest().RequestWith(t.Context(), cl)
	if err != nil || resp.ErrorCode != kerr.MemberIDRequired.Code {
		t.Fatal(err, resp.ErrorCode)
	}
	m.id = resp.MemberID
	return m
}

func (m *member) joinRequest() *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = m.group, m.id, "consumer"
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(session.Milliseconds()), 60_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	r.Protocols = append(r.Protocols, p)
	return r
}

func (m *member) join() {
	m.t.Helper()
	resp, err := m.joinRequest().RequestWith(m.t.Context(), m.cl)
	if err != nil || resp.ErrorCode != 0 {
		m.t.Fatal(err, resp.ErrorCode)
	}
	m.generation = resp.Generation
}

func (m *member) sync() {
	m.t.Helper()
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = m.group, m.id, m.generation
	if resp, err := r.RequestWith(m.t.Context(), m.cl); err != nil || resp.ErrorCode != 0 {
		m.t.Fatal(err, resp.ErrorCode)
	}
}

// rebalancing is what a heartbeat says.
func (m *member) rebalancing() bool {
	m.t.Helper()
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.Generation = m.group, m.id, m.generation
	resp, err := r.RequestWith(m.t.Context(), m.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && err != error(kerr.RebalanceInProgress) {
		m.t.Fatal(err)
	}
	return err != nil
}

// beats has the heart beat, often, until that says that the group rebalances.
func (m *member) beats(until string) {
	m.t.Helper()
	heart := time.NewTicker(session / 100)
	defer heart.Stop()
	for limit := time.After(30 * time.Second); !m.rebalancing(); {
		select {
		case <-heart.C:
		case <-limit:
			m.t.Fatal("waited in vain for:", until)
		}
	}
}

// A member that dies while it waits for the answer of its JoinGroup leaves the group with
// its session. Several groups, for kfake does not always forget it.
func TestDeadMemberLeaves(t *testing.T) {
	c, err := New(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			alive := newMember(t, c, fmt.Sprint("g", i))
			alive.join()
			alive.sync()
			dead := newMember(t, c, alive.group)
			ctx, cancel := context.WithCancel(t.Context())
			joined := make(chan struct{})
			go func() {
				defer close(joined)
				_, _ = dead.joinRequest().RequestWith(ctx, dead.cl)
			}()
			alive.beats("the other one to join")
			cancel()
			<-joined
			dead.cl.Close()
			alive.join()
			if n := len(c.GroupInfo(alive.group).Members); n != 2 {
				t.Fatalf("%d members: this shows nothing", n)
			}
			alive.sync()
			alive.beats("the dead one to be gone")
			alive.join()
			if n := len(c.GroupInfo(alive.group).Members); n != 1 {
				t.Errorf("%d members", n)
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	c, err := New(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
}
