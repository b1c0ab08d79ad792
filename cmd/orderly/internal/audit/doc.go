// Package audit reads a topic's past in one pass and says where its order was
// broken: records of a key that come after a higher number, numbers that come twice
// or not at all, keys in several partitions, replaced writers that still write.
//
// # What is judged
//
// An observation is what one record says: its key, its place, its producer and its
// number. The number is the user's own (a field of the JSON value, or a header), or
// that of orderly's sequence headers, or the record's time.
//
//   - A number of a user belongs to the key, wherever its records stand: each is one
//     higher than the one before.
//   - orderly's numbers belong to the key, the partition, the writer and its epoch.
//   - A time may stay or rise; nothing can be said to be missing.
//
// A record is late when a higher number of its key came before it in its partition,
// and it was not there yet; it is a duplicate when it was. A gap is what is missing
// in the end between the lowest and the highest number of a key. Offsets that are
// not there say nothing: markers, aborted transactions and compaction take some.
//
// # Memory
//
// The state of a key takes some 200 bytes. When all keys take more than the budget,
// whole buckets of keys go to files: first their state, then what is observed of
// them, which is applied at the end, bucket by bucket. A bucket that is too large then
// is split in the same way. What is found does not depend on the budget.
package audit
