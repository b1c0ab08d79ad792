// Package parked is the parking side of the partitions that a consumer holds. For
// each ownership it drives a parking.Owner: it hands it what was granted, read,
// written and committed, and does what the Owner asks for. What entries mean is in
// package parking, how they are written and read in package parkinglog, when a
// partition may start and what its commits say in package group.
//
// A Manager has the topics and their clients. It looks at them before each grant
// (look.go), and now and then (tend.go): for commands, for a topic that has appeared,
// grown or gone. A Partition (partition.go) is one ownership. Its lock guards the
// Owner; what the Owner asks for is done in order by one goroutine at a time, without
// the lock (actions.go), for a write may have to wait and an answer may come from
// anywhere. The topic is read only as far as something is known to stand there
// (read.go): 500 partitions with empty topics hold no request open.
//
// Locks, in the order in which they may be taken: Session.mu of package group, then
// Partition.mu.
package parked
