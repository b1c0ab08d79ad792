// Package lane runs records in order per ordering unit and side by side across
// units. It knows nothing of Kafka: a partition is a name, a record is an Item,
// and time comes from a Clock.
//
// A unit is a sequence: at most one worker holds it, and its next record starts
// only when the one before is done. For a plain handler a unit is one ordering
// key (its 64-bit hash), for a batch handler it is a lane (hash modulo the
// number of lanes), in partition scope it is the whole partition. A unit exists
// only while it has outstanding records, so memory follows the records that
// wait, never the number of keys that were seen.
//
// Records of a partition of keys wait in one queue in front of the units, the stream,
// and while a plain handler is fast they run from there, in offset order, without a
// unit.
//
// Way of an item: Partition.Enqueue → stream → unit's queue → ready list → worker →
// Apply → done, or back to the unit's head with a time before which it is not
// tried again.
//
// Locks, in the order in which they may be taken: Partition.mu, then Pool.mu or
// the timer's.
// Apply and OnFailure are called without either.
package lane
