package parking

// An Action is something that an Owner wants done. The caller does them in
// order, per kind.
type Action interface{ action() }

// Write sends an entry to the parking topic. With From at or above 0 the rest of
// it (key, payload, source) is that of the entry at this position; that of a skip is
// about the record there.
type Write struct {
	ID    WriteID
	Entry *Entry
	From  int64
}

// A WriteID names a write: the owner's token, and its number under it.
type WriteID struct{ Token, Seq int64 }

// Settle: N records, of those that came together from the one at Offset on, are parked,
// or were done before: they need no handler.
type Settle struct {
	Offset int64
	N      int
}

// Live: N records, of those that came together from the one at Offset on, go to their
// handler. What of the records named in a row is not done when one of them fails
// arrives again.
type Live struct {
	Offset int64
	N      int
}

// Block: the record cannot be parked and stays at the head of its key.
type Block struct {
	Offset   int64
	Reason   string
	TooLarge bool // for the topic, and no cap
}

// Run hands a parked record, to be read at Pos, to its handler. Owner.Ended
// follows.
type Run struct {
	ID          KeyID
	Offset, Pos int64
	Tries       int // releases that failed at it before
}

// NeedToken: the whole step again, for a token above Above. Nothing of the
// partition is committed, parked or started meanwhile.
type NeedToken struct {
	Above  int64
	Reason string
}

// Probe sends an entry to find out whether the topic takes writes again, after a while:
// each of them that fails is followed by another. Acked or Failed follows.
type Probe struct {
	ID    WriteID
	Entry *Entry
}

// Policy: the partition's owner before had another policy than this one.
type Policy struct{ Before string }

// Commit: the guard has changed and something waits until it is committed.
type Commit struct{}

// Stop: the partition waits, by name, until its configuration is what it was.
type Stop struct{ Err error }

// Delete records of the parking topic below Before.
type Delete struct{ Before int64 }

// Ask: a command about a record that is not parked, once under a token. Owner.Answer
// follows, or Arrive of the record: with Item.Skip, or to be parked.
type Ask struct {
	Key      []byte
	Offset   int64
	Command  *CommandBody
	Accepted bool // an owner has begun before
}

// Skipped: a record is done by an operator's word, as read back.
type Skipped struct {
	Key     []byte
	Offset  int64
	Command *CommandBody
}

func (Write) action()     {}
func (Settle) action()    {}
func (Live) action()      {}
func (Block) action()     {}
func (Run) action()       {}
func (Policy) action()    {}
func (Probe) action()     {}
func (NeedToken) action() {}
func (Commit) action()    {}
func (Delete) action()    {}
func (Stop) action()      {}
func (Ask) action()       {}
func (Skipped) action()   {}
