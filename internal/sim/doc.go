// Package sim tests consumers against an in-process cluster in virtual time: a
// session timeout of 45 s passes in milliseconds. It has tests only, built with
// the tag synctests:
//
//	go test -tags synctests ./internal/sim
//
// TestSeeds runs random schedules of faults, one per seed, and checks their
// histories; the other tests show one thing each. ORDERLY_SEED replays one seed,
// ORDERLY_SOAK=1 runs thousands, ORDERLY_HISTORY checks a saved history again.
//
// Who is who, one file each:
//
//   - fabric: the network between processes and brokers; it knows requests, so
//     that one can be held, and lands late
//   - chronicle: the history, with commits as the brokers applied them
//   - world: cluster, topic, producer
//   - member: one process with a Consumer, whose events become history
//   - behaviour: what handlers do with a record
//   - schedule: what happens in a seed, and when
//   - verdict: what has to hold at the end
package sim
