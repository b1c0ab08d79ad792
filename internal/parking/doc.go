// Package parking keeps the records of keys that cannot go on, in order, in a
// topic of Kafka, and gives them back in order. It imports no Kafka package: an
// Entry is what a record of the parking topic says (codec.go), a State is what
// the entries of one partition, read in order, add up to (state.go), and an Owner
// decides what is written, settled and run next (owner.go, work.go, command.go,
// note.go, trim.go). Positions are offsets in the parking topic; offsets are those of the
// source topic.
//
// # What counts
//
// Each owner of a partition has a fencing token, larger than those before. It
// first writes a marker with its token and reads the topic up to it. An entry
// counts when no marker of a higher token stands before it, so all readers agree,
// whenever they come: what a replaced owner had on its way lands behind the
// newer marker and is void. Commands come from operators, who have no token; they
// count wherever they stand, until an owner has answered them.
//
// An owner believes only what it has read back. An acknowledgement says that an
// entry stands in the topic, not that no marker stands before it. And a write
// that may or may not have happened is never repeated under its token: it could
// land at any time, behind a trim that has dropped all trace of its repetition.
// The owner takes a new token (NeedToken); its new marker voids what is still on
// the way. Until the topic takes writes again only the keys wait that something is to
// be written for (doubt.go).
//
// # One key
//
// A record whose attempts are used up is written as parked and settled when read
// back; later records of its key follow without a handler. Each parked entry says
// on what it rests (Entry.After): all records of the key below are settled. It
// counts only behind entries that say so. A run of records can therefore be on
// its way at once: if one does not make it, those behind it do not count and are
// written again. So each key has one number, upTo, below which all its records
// are parked or done. A record below upTo that comes again is not handled again.
// upTo is kept, also across trims, until the group's commit has passed it.
//
// Records that follow and come together are written as one entry (run.go): it says what
// as many entries in a row say, and stands there as a whole or not at all.
//
// A release hands the parked records to the handler, one after the other, and
// stops at the first failure. The handlers run ahead; one resolution at a time is
// written for all that was done by then. The key is live again when nothing of it
// is parked as read back, so no watermark can pass a resolution that was not. Live
// records join the end while more is parked than Rules.Join; after that they wait
// in memory, so a release of a hot key ends.
//
// # The guard
//
// The metadata of the group's commit names the topic and the position from which
// it counts (Guard). Check compares both before the token is committed: a topic
// that is gone, was created again or begins above that position would drop or
// repeat what was parked, and the partition stops by name.
//
// A partition whose commit names no topic takes a new one into use as a trim does
// (below), from its own first marker on: nothing before counts, except commands,
// and nothing is parked before the commit names the topic.
//
// # Commands
//
// A command's place is where it stood first. Its copies and its answer say so: not all of
// those that an owner writes may land, or count, and the next owner writes what is missing.
// Pauses hold by the places of their commands, not in the order of answers.
//
// # Notes
//
// What is done ahead and does not fit the metadata of a commit is written as a note
// (note.go). It holds when a commit names it.
//
// # Trims
//
// Nothing is deleted until what is needed stands behind a marker. The owner stops
// writing, waits until all it wrote is read back, writes its marker again and
// reads to it. It then keeps a second State: what a reader would know that begins
// at this marker. What the first knows and the second does not is written behind
// the marker, until there is no difference; then the marker's position is
// committed, and only then are the records before it deleted. Since no higher
// marker stands before this one, no entry behind it changes its worth.
//
// # What the caller owes
//
//   - Check, then a token granted by a commit that only a member of the present
//     generation can make and that carries everything the metadata said; then
//     NewOwner, Granted, and Read from where Check said.
//   - At most one commit of the partition outstanding; after one without an answer
//     a new generation, and Granted again. The watermark is taken before Guard.
//   - A topic found while the partition is held is used under a token granted after
//     it was found.
//   - Every write's outcome that is not a success is told to Failed; when in doubt,
//     as Unknown.
//   - A note is named by commits made after it was read back, for as long as Noted returns
//     it, and handed to the Granted of the next owner.
//   - Records of a key arrive in order. Nothing starts while Open is false.
//
// The model (model_test.go) drives this code through delayed, lost and repeated
// messages, replaced owners and trims, and shows for each rule what happens
// without it.
package parking
