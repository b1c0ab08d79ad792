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
// What a seed may hold, all at once: members that come, leave, are killed, frozen, cut
// off and reset; rebalances, moving coordinators and leaders; answers that are late,
// lost or errors; transactions; records that fail in all ways (retry, Permanent,
// Unavailable, RetryAfter, panics) for a while or until all is mended, and that kill
// their process; outages of what the handlers need, also with kills, with and without
// a probe; a dead-letter topic that is away, leaderless, slow, too small or refuses
// writes; a parking topic that is leaderless, unreadable, slow, without rights, refuses
// writes or trims, and at last is deleted, created again or shortened while records are
// parked; releases on schedule and operators' commands; each of the policies; handlers slow, and fast enough to run inline.
//
// What is judged, besides internal/history: that a record is given up only when its
// attempts were spent, by what handlers answered while no breaker was open; that
// attempts go on from what the last commit says; that dead letters are what brokers have
// acknowledged, and no more than were sent; that what is parked is done in order, never
// again once the parking topic says that it is done, and all of it in the end; that in the end each record is done or
// blocked by a record that cannot be done; that breakers close when they can; that all is
// done when all is mended. Over the seeds together each kind of event has to occur.
//
// Left out: stores, and keys that say Unavailable for ever.
//
// Who is who, one file each:
//
//   - fabric: the network between processes and brokers; it knows requests, so
//     that one can be held, and lands late
//   - chronicle: the history, with commits as the brokers applied them
//   - world: cluster, topic, producer
//   - member: one process with a Consumer, whose events become history
//   - behaviour: what handlers do with a record
//   - outcome: how records fail, and the dependency
//   - letters: the dead-letter topic, as the brokers have it
//   - parking: parked records, as the brokers have them, and what operators do
//   - vandal: who harms the parking topic
//   - schedule: what happens in a seed, and when
//   - failures: the part of it that is about failures, and how it is mended
//   - ledger: what failed records have spent
//   - verdict: what has to hold at the end
//   - coverage: what has happened over all seeds
package sim
