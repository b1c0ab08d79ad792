// Package localbroker is a Kafka broker in this process, kept in a directory:
// kfake with what it needs around it to be trusted with a developer's data.
//
// What is around it:
//
//   - one process per directory, by a lock that the system drops when the
//     process dies; the lock file tells where the holder answers (lock.go)
//   - a marker that is there only after a clean end (marker.go)
//   - after an unclean end, a repair from the batches in the segment files
//     before kfake reads them (repair.go)
//   - what cannot be repaired is named at start (risks.go)
//
// The repair is about order. Kafka recognises a batch that a producer sends
// again by its sequence number; kfake keeps these numbers in memory and saves
// them only when it is closed. Without them a broker that was killed takes a
// batch again that it has already, and earlier records of a key stand behind
// later ones. Kafka rebuilds the numbers from the batch headers when it loads a
// log, and so does this package.
//
// What it is not: replicated, or safe from a lost disk. kfake syncs each batch
// before it is acknowledged, but does not look at the result of the sync and
// does not sync directories. A killed process loses nothing that was
// acknowledged; a machine that loses power may.
//
// What an unclean end undoes, and the repair cannot see: records deleted by
// request (DeleteRecords) since the last clean end may be there again, for kfake
// saves the log's start only when it is closed. Transactions that were open are
// aborted.
//
// A full disk: a batch that cannot be written is refused with
// UNKNOWN_SERVER_ERROR, which clients do not send again, and what was
// acknowledged stays. A client that does send such a batch again, with the same
// sequence number, would be told that it is there: kfake counts the number
// before it writes.
package localbroker
