// Package history writes down what a group of consumers did with the records
// of a topic, and checks it. It is the one place in the project that decides
// whether records were handled in order, once, completely and by one member at
// a time. It knows nothing of Kafka: a history is a list of events.
//
// # Events and their order
//
// The order of a history is the order of its numbers n, given by one Recorder.
// An event is recorded when its fact is known to the one who records it, and
// the side matters:
//
//   - log is recorded before anyone can be handed the record. Only records the
//     group is due to handle belong into the history (not those before the
//     start offset, nor those that retention took).
//   - own is recorded when the member has the partition, before it reads the
//     committed offset. release and lost are recorded before another member
//     can own the partition.
//   - start is recorded before the handler's first statement, end after its
//     last.
//   - commit, park and done are recorded when they were acknowledged, and
//     before anything is done that builds on them.
//   - freeze: before the member stops; kill: before it stops, or when it is
//     dead and before anyone can own its partitions. A member that is cut off from the
//     group counts as frozen: it cannot take part in a handover.
//
// # Two halves
//
// A history may be of a group that keeps the project's contract, of an
// experiment, or of both. The contract's events (log, own, start, end ...) are
// judged by the strict rules below. Those of an experiment (send, read, poll
// ...) say what anybody's producers wrote and anybody's application was given;
// docs/history.md has them, when they are recorded and what is found. The halves
// share commit, kill, freeze and thaw.
//
// # File format, version 2
//
// JSON lines, UTF-8. Line 1 is the header {"history":2}; each later line is one
// event. Version 1, which had the contract's events only, is read, too. A field that the event's kind does not have is refused, so a new
// field means a new version. Fields:
//
//	n   number, strictly rising, from 1          at  optional time in ns
//	e   kind                                     m   member: one process
//	t   topic                                    p   partition
//	o   offset                                   f   fencing token
//	k   key: a string, null, or {"b64":"..."} when it is not UTF-8
//	i   the record's own number within its key   a   attempt
//	b   batch: starts that are one handler call  w   why, free text
//	ok  the handler returned without error       x   its result was discarded
//	s   writer of a record                       g   its epoch
//	d   done ahead: offsets above o that the commit says are settled
//
// The contract's kinds, with their fields (optional ones in brackets; n, e, [at] always):
//
//	log      t p o k [i]        the topic holds this record
//	own      m t p f            the member got the partition; again, with a
//	                            higher token, while it keeps it
//	release  m t p [f]          it gave the partition up in order
//	lost     m t p [f]          the partition was taken away
//	kill     m                  the member is dead; an own with the same name
//	                            is a new process
//	freeze   m [t p]            it cannot act or take part. With t and p: gives
//	                            this partition up although a handler of it
//	                            still runs (recorded before the release)
//	thaw     m                  it can again
//	start    m t p o k f a [b]  a handler begins
//	end      m t p o f a ok [x] that handler returned
//	park     m t p o [f]        settled, not done: later records of the key wait
//	done     m t p o w [f]      done without a handler's success: dead-lettered
//	                            or skipped, by the owner m that carried it out;
//	                            or a parked record's resolution is known to be
//	                            written (until then the next owner may repeat it)
//	commit   m t p o [d] [f]    o is the committed offset now
//	effect   m t p o k f        a store applied the effect of the record
//
// An experiment's kinds:
//
//	send     t k i [s g]        assign  m t p
//	ack      t k i [p o s g]    revoke  m t p
//	fail     t k i [s g w]      poll    m t p o k [i s g]
//	unclear  t k i [s g w]      did     m t p o k [i s g x]
//	read     t p o k [i s g]    fault   w [t p k i s g]
//
// # What is checked
//
// The rules are with the constants of Class. Words are those of the project's
// contract; an ownership lasts from own to release, lost or kill, and a further
// own of the same member in between (a new token for a partition that it
// keeps) does not end it, unless another member owned the partition meanwhile.
//
// # Memory
//
// The Checker keeps a few words per key, the handlers that run, and the records
// that no commit has passed yet, plus the last few thousand that one has. A
// start of a record older than that is judged by its key's state: it is known
// to be done, but a wrong key for its offset is no longer noticed unless the
// key is unknown in the partition.
//
// Of an experiment it keeps, for each key, writer and epoch, the numbers that
// were acknowledged, read and refused, as ranges: some 500 bytes for a key whose
// records came in order (measured by BenchmarkChecker), 16 more for each gap, at most 2,048 gaps.
// Each partition has a window of 65,536 offsets with a fingerprint of what was
// seen there (1 MiB). What is forgotten is counted, and not judged.
package history
