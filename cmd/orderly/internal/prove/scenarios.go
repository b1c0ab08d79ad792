package prove

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What the cases show, in short.
var (
	reordered  = history.NonmonotonicSend
	duplicated = history.DuplicateWrite
	split      = history.KeySplit
	nothing    = []history.Class{history.NonmonotonicSend, history.DuplicateWrite, history.LostWrite, history.KeySplit}
)

// unordered are the classes of what is processed out of order.
var unordered = []history.Class{history.Overlap, history.Order, history.Loss}

func franz(c Client) Subject { return Subject{Kind: FranzGo, Client: c} }

// Scenarios are the claims of articles that can be tried on one machine.
var Scenarios = []Scenario{
	{
		Name: "retry-reorder", Title: "Retries put records of a key in another order (defaults of many clients)",
		Claim:    "Kafka keeps the order of what a producer sends to a partition.",
		Shows:    "it does not, when the producer is not idempotent, has several requests in flight and sends again; an idempotent one at the same faults does.",
		workload: Producer, faults: []string{"refuse:error=NOT_ENOUGH_REPLICAS,share=1/150"},
		Cases: []Case{
			{Name: "5 in flight, acks=1", who: franz(Client{Acks: "1", InFlight: 5}), some: []history.Class{reordered}},
			{Name: "5 in flight, acks=all", who: franz(Client{Acks: "all", InFlight: 5}), some: []history.Class{reordered}},
			{Name: "idempotent", who: franz(Safe), none: nothing},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: nothing},
		},
	},
	{
		Name: "in-flight-1", Title: "One request in flight without idempotence",
		Claim:    "max.in.flight.requests.per.connection=1 is enough.",
		Shows:    "franz-go keeps the order, and writes records twice: for its order it is enough, for records that come once it is not.",
		workload: Producer, faults: []string{"lost-ack:share=1/150"},
		Cases: []Case{
			{Name: "1 in flight", who: franz(Client{Acks: "all", InFlight: 1}), some: []history.Class{duplicated}, none: []history.Class{reordered}},
			{Name: "idempotent, 5 in flight", who: franz(Safe), none: nothing},
		},
	},
	{
		Name: "idempotent-5", Title: "Idempotence with five requests in flight",
		Claim:    "max.in.flight.requests.per.connection must be 1 with idempotence.",
		Shows:    "it need not: five in flight keep the order and write nothing twice. (It was so before Kafka 1.0.0 only.)",
		workload: Producer,
		faults: []string{"lost-ack:share=1/250", "cut:share=1/250", "refuse:error=6,share=1/250", "error-after-append:share=1/250",
			"replay:share=1/250"},
		Cases: []Case{
			{Name: "5 in flight", who: franz(Safe), none: nothing},
			{Name: "1 in flight", who: franz(Client{Acks: "all", Idempotent: true, InFlight: 1}), none: nothing},
			{Name: "control: not idempotent", who: franz(Client{Acks: "all", InFlight: 5}), some: []history.Class{reordered, duplicated}},
		},
	},
	{
		Name: "sequence-numbers", Title: "Batches that come twice, or late: sequence numbers at work",
		Claim:    "DUPLICATE_SEQUENCE_NUMBER and OUT_OF_ORDER_SEQUENCE_NUMBER mean that records are lost or damaged.",
		Shows:    "they are how the broker keeps the log right: of batches that come again or late it takes none that it has or that would pass another.",
		workload: Producer, faults: []string{"replay:share=1/200", "replay:after=2,share=1/200", "hold:share=1/300"},
		Cases: []Case{
			{Name: "idempotent", who: franz(Safe), none: nothing},
			{Name: "control: not idempotent", who: franz(Client{Acks: "all", InFlight: 5}), some: []history.Class{duplicated}},
		},
	},
	{
		Name: "first-batch", Title: "The very first batch of a producer is refused, lost, or late",
		Claim:    "An idempotent producer is safe from its first record on.",
		Shows:    "these two are: they send the second batch of a partition only when the first is acknowledged, for until then the broker knows nothing of the producer and takes any first number.",
		workload: Producer, from: 1, together: firstBatches,
		struck: "at the first batch of each partition: NOT_ENOUGH_REPLICAS; a lost answer; a cut connection, and the batch late",
		Cases: []Case{
			{Name: "idempotent, 5 in flight", who: franz(Safe), none: nothing},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: nothing},
			{Name: "control: not idempotent", who: franz(Client{Acks: "all", InFlight: 5}), some: []history.Class{duplicated}},
		},
	},
	{
		Name: "null-keys", Title: "Records without a key",
		Claim:    "A topic keeps the order of events.",
		Shows:    "a partition does: what belongs together and has no key is spread over the partitions.",
		workload: Producer, faults: []string{"lost-ack:share=1/300"},
		Cases: []Case{
			{Name: "null keys", who: franz(Client{Acks: "all", Idempotent: true, InFlight: 5, NullKeys: true}), some: []history.Class{split}},
			{Name: "with keys", who: franz(Safe), none: nothing},
		},
	},
	{
		Name: "partition-growth", Title: "Partitions are added while records are written",
		Claim:    "The same key is always in the same partition, so adding partitions is safe.",
		Shows:    "keys move: their later records stand in another partition than their earlier ones. A producer that is told over how many partitions to spread keys keeps them in place.",
		workload: Growth, faults: []string{"lost-ack:share=1/300"},
		Cases: []Case{
			{Name: "franz-go", who: franz(Safe), some: []history.Class{split}},
			{Name: "orderly, Partitions fixed", who: Subject{Kind: Orderly}, none: nothing},
		},
	},
	{
		Name: "async-hand-off", Title: "Records are handed to a pool of workers",
		Claim:    "A consumer gets the records of a partition in order, so they are processed in order.",
		Shows:    "with workers that do not look at keys a record is processed beside, and before, the one in front of it. One at a time, or one of each key at a time, keeps the order.",
		workload: Consumer, faults: []string{"fetch-error:share=1/300"},
		Cases: []Case{
			{Name: "64 workers", who: franz(Client{Workers: 64}), some: []history.Class{history.Overlap, history.Order}},
			{Name: "one at a time", who: franz(Client{Workers: 1}), none: []history.Class{history.Overlap, history.Order, history.Loss}},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: []history.Class{history.Overlap, history.Order, history.Loss}},
		},
	},
	{
		Name: "auto-commit", Title: "Offsets are committed by time, while workers process",
		Claim:    "enable.auto.commit=true is safe: a client commits only what it has been given and has processed.",
		Shows:    "offsets were committed of records that nobody had processed yet: whoever dies then loses them. What is committed after processing never passes one.",
		workload: Consumer, slow: 10 * time.Millisecond,
		Cases: []Case{
			{Name: "auto-commit, 64 workers", who: franz(Client{Workers: 64, AutoCommit: true}), some: []history.Class{history.CommitPast}},
			{Name: "auto-commit, one at a time", who: franz(Client{Workers: 1, AutoCommit: true}), none: []history.Class{history.CommitPast, history.Loss}},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: []history.Class{history.CommitPast, history.Loss}},
		},
	},
	{
		Name: "rebalance", Title: "Members come and go: eager and cooperative rebalance",
		Claim:    "Cooperative rebalancing is needed for order.",
		Shows:    "both keep it when a member finishes what it has before it gives a partition up; eager ones give up all of them each time. With workers that do not look at keys it does not help.",
		workload: Consumer,
		Cases: []Case{
			{Name: "eager, one at a time", who: franz(Client{Workers: 1, Eager: true}), none: []history.Class{history.Overlap, history.Order, history.Loss}},
			{Name: "cooperative, one at a time", who: franz(Client{Workers: 1}), none: []history.Class{history.Overlap, history.Order, history.Loss}},
			{Name: "cooperative, 64 workers", who: franz(Client{Workers: 64}), some: []history.Class{history.Overlap}},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: []history.Class{history.Overlap, history.Order, history.Loss}},
		},
	},
	{
		Name: "auto-commit-kill", Title: "A consumer with auto-commit is killed",
		Claim:    "enable.auto.commit=true loses nothing, as what was not processed is read again.",
		Shows:    "what was committed before it was processed is lost with the process. What is committed after processing is read again.",
		workload: Consumer, slow: 10 * time.Millisecond, strike: killed, records: 60, struck: string(killed),
		Cases: []Case{
			{Name: "auto-commit, 16 workers", who: franz(Client{Workers: 16, AutoCommit: true}), some: []history.Class{history.CommitPast, history.Loss}},
			{Name: "auto-commit, one at a time", who: franz(Client{Workers: 1, AutoCommit: true}), none: []history.Class{history.CommitPast, history.Loss}},
			{Name: "commit after processing", who: franz(Client{Workers: 1}), none: []history.Class{history.CommitPast, history.Loss}},
			{Name: "orderly", who: Subject{Kind: Orderly}, none: []history.Class{history.CommitPast, history.Loss}},
		},
	},
	{
		Name: "zombie", Title: "An owner is frozen, replaced, and goes on",
		Claim:    "A consumer that is no member of its group any more is no danger; static membership prevents zombies.",
		Shows:    "it goes on with what it has, beside and behind the next owner, also as a static member. Only a token that is checked where effects are written keeps it out.",
		workload: Consumer, strike: frozen, records: 100, effects: true, struck: string(frozen),
		Cases: []Case{
			{Name: "no token", who: franz(Client{Workers: 1}), some: []history.Class{history.DualOwner}},
			{Name: "static membership", who: franz(Client{Workers: 1, Static: true}), some: []history.Class{history.DualOwner}},
			{Name: "orderly, token not checked", who: Subject{Kind: Orderly}, some: []history.Class{history.DualOwner}},
			{Name: "orderly, token checked", who: Subject{Kind: Orderly, Fences: true}, none: []history.Class{history.DualOwner, history.EffectReorder}},
		},
	},
	{
		Name: "leader-failover", Title: "A leader dies before its followers have its last records",
		Claim:    "Three replicas and min.insync.replicas=2 keep what was acknowledged.",
		Shows:    "not with acks=1: the leader acknowledges alone, whatever min.insync.replicas says, and what only it had is lost. With acks=all nothing is; it takes as long as the election.",
		workload: Producer, records: 60, kills: true, together: onNodes(leaderFails),
		struck: "SIGSTOP of both followers for a moment, kill -9 of the leader; in all cases at once",
		Cases: []Case{
			{Name: "acks=1", who: franz(Client{Acks: "1", InFlight: 1}), on: three("2"), some: []history.Class{history.LostWrite}},
			{Name: "acks=all, idempotent", who: franz(Safe), on: three("2"), none: nothing},
			{Name: "orderly", who: Subject{Kind: Orderly}, on: three("2"), none: nothing},
		},
	},
	{
		Name: "unclean-election", Title: "A replica that was out of sync becomes the leader",
		Claim:    "acks=all loses nothing.",
		Shows:    "with min.insync.replicas=1 all is one copy, and an unclean election throws it away. Without such elections the partition waits for its leader; with min.insync.replicas=2 nothing is acknowledged that one broker has alone.",
		workload: Producer, records: 60, kills: true, together: onNodes(uncleanElection),
		struck: "SIGSTOP of the follower until it is out of sync, kill -9 of the leader, SIGCONT; in all cases at once",
		Cases: []Case{
			{Name: "acks=all, unclean allowed", who: franz(Safe), on: two("1", "true"), some: []history.Class{history.LostWrite}},
			{Name: "acks=all, not allowed", who: franz(Safe), on: two("1", "false"), none: nothing},
			{Name: "2 in sync, unclean allowed", who: franz(Safe), on: two("2", "true"), none: nothing},
			{Name: "orderly, 2 in sync", who: Subject{Kind: Orderly}, on: two("2", "false"), none: nothing},
		},
	},
	{
		Name: "dead-letter", Title: "Records that fail are set aside, and the next ones of their key go on",
		Claim:    "Retry topics and dead-letter topics handle failures without blocking; nothing is lost.",
		Shows:    "nothing is lost, and each record that is set aside is passed by those behind it. Retries in place, and a parked key, keep the order; parking blocks no other key.",
		workload: Consumer,
		Cases: []Case{
			{Name: "retry topic", who: franz(Client{Workers: 1, Aside: RetryTopic}), some: []history.Class{history.Order}, none: []history.Class{history.Loss}},
			{Name: "dead letters, handled later", who: franz(Client{Workers: 1, Aside: DeadLetters}), some: []history.Class{history.Order}, none: []history.Class{history.Loss}},
			{Name: "retries in place", who: franz(Client{Workers: 1}), none: unordered},
			{Name: "orderly, parks the key", who: Subject{Kind: Orderly, Parks: true}, none: unordered},
		},
	},
	{
		Name: "premature-resume", Title: "Consumption goes on before the dependency is back",
		Claim:    "When a dependency is down, pause the consumer for a while, and then resume.",
		Shows:    "each resume before the dependency is back sets more records aside, which those behind them pass. Without dead letters the order is kept; whoever asks the dependency first goes on when it is back.",
		workload: Consumer, outage: 2 * time.Second,
		Cases: []Case{
			{Name: "fixed pause, dead letters", who: franz(Client{Workers: 1, Pauses: true, Aside: DeadLetters, Attempts: 2}), some: []history.Class{history.Order}, none: []history.Class{history.Loss}},
			{Name: "fixed pause, in place", who: franz(Client{Workers: 1, Pauses: true}), none: unordered},
			{Name: "orderly, asks first", who: Subject{Kind: Orderly, Parks: true, Client: Client{Attempts: 10}}, none: unordered},
		},
	},
}

func three(least string) placed {
	return placed{[]int32{1, 2, 3}, map[string]string{minISR: least}}
}

func two(least, electsUnclean string) placed {
	return placed{[]int32{1, 2}, map[string]string{minISR: least, unclean: electsUnclean}}
}

func sorted(m map[int16]int) []int16 { return slices.Sorted(maps.Keys(m)) }

func codeWords(code int16) string {
	if err := kerr.TypedErrorForCode(code); err != nil {
		return fmt.Sprintf("%d %s", code, err.Message)
	}
	return "no error"
}
