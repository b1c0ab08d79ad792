// Package prove is the experiment of "orderly prove": somebody's producer or
// consumer, faults at chosen records, a control that has to break under the same
// faults, and a verdict.
//
// # What a run is
//
// An experiment has sides: the subject and the control. Each has a topic (and a
// group) of its own, a fault proxy of its own in front of the same cluster, and a
// book: what was sent, acknowledged, read and processed, as events of
// internal/history, which checks them. The records of both sides have the same keys
// and numbers, and the proxies the same seed, so that the same records are struck
// ([proxy.Config.As]).
//
// When a side's work is done its proxy heals, and a reader that is in no group and
// does not go through the proxy reads the log to its end. What it finds decides.
//
// # Which records are struck
//
// Those from number [DefaultFrom] of their key on. The first batch of a partition
// from an idempotent producer is a case of its own: while the broker knows nothing of
// the producer it takes any first sequence number, so that when the first batch is
// refused and the second is not, the first can never be written any more, and the
// producer fails it. That is an error that the program is told of, not a question of
// order, and it would hide what the experiment is about.
//
// # What it touches
//
// Topics and groups whose names begin with [Prefix] and a random part. They must not
// be there before, and are removed at the end.
package prove
