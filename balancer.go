package orderly

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A Balancer is how the group assigns partitions to its members.
type Balancer struct {
	name    string
	migrate []string
}

var (
	// CooperativeSticky moves only the partitions that have to move, while the
	// others go on (KIP-429). The default. All members of the group must know
	// it: a group whose members are eager is taken over with [MigrateFrom].
	CooperativeSticky = Balancer{name: "cooperative-sticky"}
	// Range, RoundRobin and Sticky are the eager balancers: at each rebalance
	// all members give up all partitions first.
	Range      = Balancer{name: "range"}
	RoundRobin = Balancer{name: "roundrobin"}
	Sticky     = Balancer{name: "sticky"}
	// ServerSide lets the broker assign (KIP-848). Experimental: it needs Kafka
	// 4.0, and 4.3 is advised (KIP-1251: a commit that races an epoch is
	// refused before that).
	ServerSide = Balancer{name: "server-side"}
)

// MigrateFrom takes a group over from members that use an eager balancer, by two
// rolling restarts. In the first, members start with MigrateFrom(Range): they
// offer both balancers, and the group goes on with the eager one. In the second
// they start with CooperativeSticky, which then is the only one that all know. The
// way back is the same two in reverse. A member with MigrateFrom is always eager.
func MigrateFrom(eager ...Balancer) Balancer {
	b := Balancer{name: CooperativeSticky.name, migrate: []string{}}
	for _, e := range eager {
		b.migrate = append(b.migrate, e.name)
	}
	return b
}

// String returns the protocol's name.
func (b Balancer) String() string {
	if b.migrate != nil {
		return fmt.Sprintf("%s (migrating from %v)", b.name, b.migrate)
	}
	return b.name
}

func (b Balancer) validate() string {
	if b.migrate == nil {
		return ""
	}
	if len(b.migrate) == 0 {
		return "Balancer: MigrateFrom names no balancer: name the one that the group's members use now, such as MigrateFrom(Range)"
	}
	for _, m := range b.migrate {
		if m != Range.name && m != RoundRobin.name && m != Sticky.name {
			return fmt.Sprintf("Balancer: MigrateFrom(%s): it names an eager balancer: Range, RoundRobin or Sticky", m)
		}
	}
	return ""
}

func (b Balancer) serverSide() bool { return b.name == ServerSide.name }

func (b Balancer) balancers() []kgo.GroupBalancer {
	var out []kgo.GroupBalancer
	// The eager ones first: the group stays with them until no member offers
	// them, and so never changes back while members own partitions.
	for _, name := range append(b.migrate[:len(b.migrate):len(b.migrate)], b.name) {
		switch name {
		case CooperativeSticky.name:
			out = append(out, kgo.CooperativeStickyBalancer())
		case Range.name:
			out = append(out, kgo.RangeBalancer())
		case RoundRobin.name:
			out = append(out, kgo.RoundRobinBalancer())
		case Sticky.name:
			out = append(out, kgo.StickyBalancer())
		}
	}
	return out
}
