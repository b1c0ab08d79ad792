package explain

import (
	"cmp"
	"slices"
	"time"
)

// A Link says that a finding came after another one that is known to lead to it.
type Link struct {
	ID   string `json:"id"`
	Line int64  `json:"line"`
	Why  string `json:"why"`
}

const (
	linkWithin = 10 * time.Minute
	maxLinks   = 3
)

// link finds, for each finding, what led to it: an earlier one of an entry that
// does, with the same producer, partition, member or client.
func link(all []*Finding) {
	slices.SortStableFunc(all, func(a, b *Finding) int { return cmp.Compare(a.FirstLine, b.FirstLine) })
	of := map[string][]*Finding{}
	for _, f := range all {
		of[f.Entry.ID] = append(of[f.Entry.ID], f)
	}
	for _, f := range all {
		f.After = nil
		for _, l := range leads {
			if l.to != f.Entry.ID {
				continue
			}
			for _, g := range of[l.from] {
				if g.FirstLine > f.FirstLine || len(f.After) == maxLinks {
					break
				}
				if g != f && related(g.Facts, f.Facts) && near(g, f) {
					f.After = append(f.After, Link{g.Entry.ID, g.FirstLine, l.why})
					break
				}
			}
		}
	}
}

// related says whether two findings have a subject in common, and none apart.
func related(a, b Facts) bool {
	if a.Topic != "" && b.Topic != "" && a.TopicPartition() != b.TopicPartition() ||
		a.Producer != "" && b.Producer != "" && a.Producer != b.Producer {
		return false
	}
	same := func(x, y string) bool { return x != "" && x == y }
	return same(a.Producer, b.Producer) || same(a.Partition, b.Partition) && same(a.Topic, b.Topic) || same(a.Group, b.Group) ||
		same(a.Member, b.Member) || same(a.Instance, b.Instance) || same(a.TransactionalID, b.TransactionalID) || same(a.ClientID, b.ClientID)
}

// near says whether g was going on shortly before f began, as far as the log has times.
func near(g, f *Finding) bool {
	return f.First.IsZero() || g.Last.IsZero() || !g.Last.Before(f.First.Add(-linkWithin))
}

// leads are what is known to lead to what.
var leads = []struct{ from, to, why string }{
	{"unclean-election", "truncation-detected", "the new leader did not have the records that were cut off"},
	{"unclean-election", "out-of-order-sequence", "the new leader did not have the batches before"},
	{"unclean-election", "offset-out-of-range", "the new leader's log is shorter"},
	{"log-truncated", "truncation-detected", "the replica was cut back"},
	{"delivery-timed-out", "out-of-order-sequence", "the batch that was given up left a hole in the numbers"},
	{"delivery-timed-out", "sequence-reset", "after a batch is given up the client takes a new epoch"},
	{"out-of-order-sequence", "sequence-reset", "the client answers it with a new epoch and numbers from 0"},
	{"unknown-producer-id", "sequence-reset", "the client answers it with a new epoch and numbers from 0"},
	{"out-of-order-sequence", "sequence-desynchronization", "librdkafka could not tell what was written"},
	{"network-exception", "sequence-desynchronization", "answers were lost with the connection"},
	{"network-exception", "duplicate-sequence", "an answer was lost, and the batch was sent again"},
	{"request-timed-out", "duplicate-sequence", "the answer came too late, and the batch was sent again"},
	{"network-exception", "out-of-order-sequence", "requests under way were lost with the connection"},
	{"request-timed-out", "out-of-order-sequence", "an earlier batch was not answered in time"},
	{"not-leader", "out-of-order-sequence", "an earlier batch was refused while the leader moved"},
	{"not-enough-replicas", "out-of-order-sequence", "an earlier batch was refused"},
	{"isr-shrink", "not-enough-replicas", "the partition has fewer replicas in sync"},
	{"isr-shrink", "not-enough-replicas-after-append", "a replica fell out of sync after the write"},
	{"not-enough-replicas", "delivery-timed-out", "it was refused until its time was over"},
	{"not-enough-replicas-after-append", "delivery-timed-out", "it was not acknowledged until its time was over"},
	{"request-timed-out", "delivery-timed-out", "it was not answered until its time was over"},
	{"network-exception", "delivery-timed-out", "the connection was lost, and its time ran out"},
	{"not-leader", "delivery-timed-out", "there was no leader to take it until its time was over"},
	{"poll-interval", "partitions-lost", "the member had left the group"},
	{"poll-interval", "commit-failed", "the partitions belong to others since the member left"},
	{"poll-interval", "unknown-member-id", "the member had left the group"},
	{"poll-interval", "illegal-generation", "the group went on without the member"},
	{"member-removed", "commit-failed", "the coordinator had removed the member"},
	{"member-removed", "unknown-member-id", "the coordinator had removed the member"},
	{"member-removed", "fenced-member-epoch", "the coordinator had removed the member"},
	{"rebalance-in-progress", "commit-failed", "the group was rebalancing"},
	{"illegal-generation", "commit-failed", "the commit was of an older generation"},
	{"unknown-member-id", "commit-failed", "the member was not in the group any more"},
	{"unknown-member-id", "partitions-lost", "the member was not in the group any more"},
	{"fenced-member-epoch", "partitions-lost", "the member was put out of the group"},
	{"fenced-instance-id", "partitions-lost", "another process has its place in the group"},
	{"offset-out-of-range", "offset-reset", "auto.offset.reset decided where to go on"},
	{"truncation-detected", "offset-reset", "the consumer goes on where the logs are the same"},
	{"invalid-producer-epoch", "producer-fenced", "a newer producer has the transactional id"},
	{"producer-fenced", "invalid-txn-state", "the transaction was ended by the newer producer"},
	{"delivery-timed-out", "orderly-key-closed", "its records were not acknowledged in time"},
	{"not-enough-replicas", "orderly-key-closed", "the broker refused its records"},
}
