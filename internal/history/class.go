package history

// The classes of an experiment's anomalies: of what producers wrote, as the
// reader of the log finds it, and of what an application was given and did.
const (
	// InconsistentOffset: two records were seen at one offset of a partition.
	InconsistentOffset Class = "inconsistent-offset"

	// DuplicateWrite: the log holds one record at two offsets.
	DuplicateWrite Class = "duplicate-write"

	// LostWrite: a record was acknowledged, and the reader of the log went past
	// its place without finding it.
	LostWrite Class = "lost-write"

	// Unseen: a record was acknowledged, and nobody has read as far. It is no
	// proof of a loss.
	Unseen Class = "unseen"

	// NonmonotonicSend: of one key and writer, a later record stands before an
	// earlier one in the log.
	NonmonotonicSend Class = "nonmonotonic-send"

	// RealtimeOrder: a record was sent after another one had been acknowledged,
	// and stands before it in the same partition.
	RealtimeOrder Class = "realtime-order"

	// AbortedRead: a record was read that was surely not written, or was taken
	// back with its transaction.
	AbortedRead Class = "aborted-read"

	// KeySplit: the log holds one key in two partitions.
	KeySplit Class = "key-split"

	// ZombieWrite: a writer's record of an old epoch stands behind one of a
	// newer epoch of the same key.
	ZombieWrite Class = "zombie-write"

	// NonmonotonicPoll: an application was given an offset again, or an earlier
	// one, under the same assignment.
	NonmonotonicPoll Class = "nonmonotonic-poll"

	// PollSkip: records of the log were never given to the application although
	// later ones were; or a commit passed them and nobody finished them.
	PollSkip Class = "poll-skip"

	// DualOwner: a member was given or finished records of a partition after
	// its next owner had begun.
	DualOwner Class = "dual-owner"

	// EffectReorder: processing of a record ended after that of a later record
	// of its key.
	EffectReorder Class = "effect-reorder"
)

// Side says whose fault a class of violations is.
type Side string

// The sides.
const (
	Producers Side = "producer"
	Consumers Side = "consumer"
	Brokers   Side = "broker"
	Histories Side = "history" // what was written down does not suffice
)

// Info says what a class means, and what to do about it.
type Info struct {
	Class   Class    `json:"class"`
	Title   string   `json:"title"`
	Explain string   `json:"explain"` // one line
	Side    Side     `json:"side"`
	Rule    string   `json:"rule,omitempty"` // id of the setting's rule; "" where no setting helps
	Setting string   `json:"setting,omitempty"`
	Also    []string `json:"also,omitempty"` // other rules that may apply
}

// Weak says that the class is no violation by itself: it is a reason why
// nothing can be told.
func (c Class) Weak() bool {
	switch c {
	case Unseen, Malformed, Vacuous:
		return true
	}
	return false
}

// experimental says that only the events of an experiment show the class.
func (c Class) experimental() bool {
	switch c {
	case Overlap, Order, Duplicate, Loss, Unknown, CommitPast, CommitRegress, Token, Malformed, Vacuous:
		return false
	}
	return true
}

// About gives what is known of a class.
func About(c Class) Info {
	info := infos[c]
	info.Class = c
	return info
}

var infos = map[Class]Info{
	InconsistentOffset: {
		Title: "Two records at one offset", Side: Brokers, Rule: "B05", Also: []string{"L05", "B02"},
		Explain: "a broker that had not all acknowledged records became the leader, and offsets were given out again",
		Setting: "unclean.leader.election.enable=false",
	},
	DuplicateWrite: {
		Title: "Duplicate in the log", Side: Producers, Rule: "P17", Also: []string{"P01", "P22", "B10"},
		Explain: "a batch was written, its acknowledgement was lost, and the client sent it again without idempotence",
		Setting: "enable.idempotence=true",
	},
	LostWrite: {
		Title: "Acknowledged record lost", Side: Brokers, Rule: "P15", Also: []string{"B02", "B05", "P16"},
		Explain: "the acknowledgement came before enough replicas had the record, and their leader was lost",
		Setting: "acks=all with min.insync.replicas=2 and replication factor 3",
	},
	Unseen: {
		Title: "Acknowledged record not seen yet", Side: Histories,
		Explain: "nobody read the log as far as the record was written, so it is neither there nor lost",
	},
	NonmonotonicSend: {
		Title: "Records of a key in another order than sent", Side: Producers, Rule: "P01", Also: []string{"P05", "P06", "P09", "P22"},
		Explain: "with several requests in flight, a batch that failed was sent again behind a later one",
		Setting: "enable.idempotence=true with at most 5 requests in flight",
	},
	RealtimeOrder: {
		Title: "Sent after, stands before", Side: Brokers, Rule: "B05", Also: []string{"P28"},
		Explain: "a record got a lower offset than one that was acknowledged before it was sent",
		Setting: "unclean.leader.election.enable=false",
	},
	AbortedRead: {
		Title: "Aborted or refused record read", Side: Consumers, Rule: "C12", Also: []string{"B14", "T02"},
		Explain: "a reader was given a record that was never committed: refused by the broker, or of an aborted transaction",
		Setting: "isolation.level=read_committed",
	},
	KeySplit: {
		Title: "One key in two partitions", Side: Producers, Rule: "K04", Also: []string{"K01", "K02", "K03", "K05"},
		Explain: "order is kept inside a partition only: the partition count changed, or writers place keys differently",
		Setting: "a fixed partition count, and one partitioner for all writers",
	},
	ZombieWrite: {
		Title: "Replaced writer still writes", Side: Producers, Rule: "T01", Also: []string{"T02", "P28"},
		Explain: "a writer wrote after another one had taken over its key under a higher epoch",
		Setting: "a stable transactional.id per writer, so that the old one is fenced",
	},
	NonmonotonicPoll: {
		Title: "Application given records again or backwards", Side: Consumers, Rule: "C06", Also: []string{"L07"},
		Explain: "the consumer's position went back under one assignment: a seek, or a reset of an offset out of range",
		Setting: "auto.offset.reset=none, and no seek on a partition that is being processed",
	},
	PollSkip: {
		Title: "Record skipped", Side: Consumers, Rule: "C04", Also: []string{"C05", "C06", "X04"},
		Explain: "a position or a commit passed a record that nobody had processed",
		Setting: "enable.auto.commit=false, and commit after processing",
	},
	DualOwner: {
		Title: "Two owners of a partition at a time", Side: Consumers, Rule: "C03", Also: []string{"C09", "C10"},
		Explain: "a consumer that had lost the partition went on with it beside the next owner",
		Setting: "max.poll.interval.ms above the longest batch, and effects that check the owner's token",
	},
	EffectReorder: {
		Title: "Processed in another order than logged", Side: Consumers, Rule: "X05", Also: []string{"X03", "X04", "C09"},
		Explain: "records of a key were in processing side by side, or one was retried behind later ones",
		Setting: "one record of a key at a time: a queue per key, retries in place",
	},
	Overlap: {
		Title: "Handlers of one key side by side", Side: Consumers, Rule: "X05", Also: []string{"C03", "C09"},
		Explain: "a handler of a key began while another one of it ran",
		Setting: "one record of a key at a time, and a handover that waits for the running handler",
	},
	Order: {
		Title: "Handled out of order", Side: Consumers, Rule: "X05", Also: []string{"X03", "X04"},
		Explain: "a record was handled before one of its key that stands before it was done",
		Setting: "one record of a key at a time: a queue per key, retries in place",
	},
	Duplicate: {
		Title: "Done record handled again", Side: Consumers, Rule: "C04", Also: []string{"C05"},
		Explain: "a record that was known to be done was processed again",
		Setting: "commit after processing, from the owner only",
	},
	Loss: {
		Title: "Record never handled", Side: Consumers, Rule: "C04", Also: []string{"C05", "C06"},
		Explain: "a record of the log was neither done nor parked at the end",
		Setting: "enable.auto.commit=false, and commit after processing",
	},
	Unknown: {
		Title: "Handled record is not in the log", Side: Histories,
		Explain: "an event names a record that the log does not hold, or another key than the record has",
	},
	CommitPast: {
		Title: "Commit passes an unfinished record", Side: Consumers, Rule: "C04", Also: []string{"C05"},
		Explain: "an offset was committed while a record below it was neither done nor parked",
		Setting: "enable.auto.commit=false, and commit after processing",
	},
	CommitRegress: {
		Title: "Committed offset went back", Side: Consumers, Rule: "L07", Also: []string{"C03", "C15"},
		Explain: "a commit of an earlier owner, or an answered one that came late, replaced a newer one",
		Setting: "commit only from the owner, with its member id and generation, one commit at a time",
	},
	Token: {
		Title: "Stale fencing token", Side: Consumers, Rule: "C15", Also: []string{"C09"},
		Explain: "a handler began under a token that was not its owner's current one",
		Setting: "a larger fencing token for each ownership, checked where effects are written",
	},
	Malformed: {
		Title: "History contradicts itself", Side: Histories,
		Explain: "what was written down cannot have happened so; record events in the order of the documentation",
	},
	Vacuous: {
		Title: "Nothing was checked", Side: Histories,
		Explain: "no key has two records with numbers, so no order could be seen",
	},
}
