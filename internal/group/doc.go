// Package group is the consumer's side of a Kafka consumer group: assignment,
// fencing tokens, reading, commits, drain on revoke. It is the only package of
// the consumer that speaks to Kafka.
//
// One Session is one membership. Who owns which state:
//
//   - Session.parts, and each Partition's ownership fields: Session.mu. Whether a
//     partition is ours and with which member id and generation a commit is sent
//     are read under this one lock, so that no commit outlives its ownership.
//   - Session.commitMu: at most one OffsetCommit of this member is outstanding.
//   - The poll loop alone appends to a partition's ring.
//   - Handlers run in the lane package; they reach this one only through the
//     done-bits of the ring.
//
// A partition's way: assigned (granting) → its offset and metadata are read, a
// higher fencing token is committed in this generation → live → draining on
// revoke, or gone at once on loss.
package group
