// Package store keeps, in the database that takes a consumer's effects, which
// records have had theirs: effect and position are written in one transaction, so
// that an effect happens once and in order whatever happens to processes.
//
// The records of a partition are spread over lanes by the hash of their ordering
// key. Each lane has a position: the offset below which all its records are
// applied, save those with an exception row. A position moves only from the value
// that its owner expects ("compare and set"): of two owners one finds no row to
// change and rolls back. What the database says is the truth; offsets that Kafka
// keeps are hints.
//
// A Backend is the database. Package storetest tests any of them.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Part is one partition, as one consumer group's handler sees it.
type Part struct {
	Group string
	// Handler names what is applied: two handlers of one group in one database
	// keep apart. Another name is another state.
	Handler   string
	Topic     string   // for people
	TopicID   [16]byte // offsets of a topic that was recreated are others
	Partition int32
}

func (p Part) String() string {
	return fmt.Sprintf("group %s handler %s topic %s partition %d", p.Group, p.Handler, p.Topic, p.Partition)
}

// A Layout says how records are spread over lanes. It is kept with the positions:
// under another one they mean something else.
type Layout struct {
	Lanes   int
	Hash    int    // version of the hash of ordering keys
	OrderBy string // name of the ordering key; empty: the record's key
}

// Unknown is the position of a lane that has no row yet.
const Unknown int64 = -1

// A Lane is a lane's position.
type Lane struct {
	Lane     int
	Position int64 // the offset behind the last record that was taken in
}

// An Exception is a record below its lane's position that is not applied. Its key
// is detached from the lane: the key's records become exceptions, in their order,
// and are applied lowest offset first.
type Exception struct {
	Lane    int
	Offset  int64
	Key     []byte // ordering key; nil is the key of records without one
	Payload []byte // nil: the record is still needed from Kafka
	// Size is that of the payload, where a State says it without the payload.
	Size int
	// Failure is why it is parked; the zero Failure: it follows another record of its
	// key.
	Failure Failure
}

// A Failure is how a parked record has failed. Times are in milliseconds since 1970.
type Failure struct {
	Cause       string // of the last attempt, in short
	Permanent   bool   // it waits for an operator
	Attempts    int    // until it was parked
	First, Last int64
	Releases    int // that failed at it since
}

// Parked says that the record is kept here, and not needed from Kafka any more.
func (e Exception) Parked() bool { return e.Payload != nil }

// A State is what the database says of a partition. Payloads are not read: a
// parked exception's Payload is empty and not nil.
type State struct {
	Token      int64
	Low        int64 // reading begins here: all below is applied or parked
	Lanes      []Lane
	Exceptions []Exception // sorted by offset
}

// A Step is what one transaction changes. Exactly one of Advance, Release, Park and
// Tried is set.
type Step struct {
	Part  Part
	Token int64 // of the owner: noted for people and readers, fences nothing here

	// Advance moves a lane's position over the records of a run.
	Advance *Advance
	// Release removes an exception, in the transaction of its effect.
	Release *Release
	// Park gives exceptions their payloads.
	Park *Park
	// Tried notes that a parked record has failed again.
	Tried *Tried
	// Audit says who decided to go on without a record's effect, and why.
	Audit *Audit
	// Sequences, when it is set, says after the effects what a Sequencer keeps.
	Sequences func() []Sequence
}

// An Advance moves a lane from the position that is expected there. Detach are
// those of the run's records that are not applied. A backend may write To before the
// effects, and correct it after them: effects that end the transaction themselves may
// leave it, so until they are through To covers no more than their first record.
type Advance struct {
	Lane     int
	From, To int64
	Detach   []Exception
}

// A Release removes an exception; it must be its key's lowest.
type Release struct{ Exception Exception }

// A Park are exceptions that stay, with their payloads and failures: never inserted,
// only changed; all or none.
type Park struct{ Exceptions []Exception }

// A Tried is a parked exception that stays as it is, but for its Failure.
type Tried struct{ Exception Exception }

// An Audit is an operator's decision.
type Audit struct {
	Offset   int64
	Key      []byte
	Decision string // "skip"
	By, Why  string
}

// A Backend is a database. Its methods may be called from several goroutines, those
// about one lane one at a time.
type Backend interface {
	// Begin takes a partition over under a token. A partition that is not known
	// begins at low. It returns a *FencedError when the database holds that token
	// or a higher one, a *LayoutError when it holds another layout, and a *TopicError
	// when it does not know the partition, but one of another topic of this name. The token
	// is committed before the state is read.
	Begin(ctx context.Context, p Part, l Layout, token, low int64) (State, error)
	// Look reads the token, one lane's position and its exceptions, in one
	// statement.
	Look(ctx context.Context, p Part, lane int) (State, error)
	// Token reads the partition's token; zero when the partition is not known. It returns
	// a *SchemaError when the tables are not those of this release, as Begin does.
	Token(ctx context.Context, p Part) (int64, error)
	// Apply runs effects and then the step, in one transaction. effects gets the
	// backend's own transaction; nil: there are none. ErrStale, ErrUnknown and
	// what Classify says of other errors decide what to do. effects may change what the
	// step's Advance says: it is read after them.
	Apply(ctx context.Context, s Step, effects func(ctx context.Context, tx any) error) error
	// Low moves the low-water row of a partition; not moved when another token is there,
	// or a higher position. Before it moves check is called, in its transaction, with the
	// positions of all lanes and the exceptions that it would pass and that are not parked (of
	// these the offset and lane alone); an error of check is returned, and nothing has moved.
	Low(ctx context.Context, p Part, token, low int64, check func(State) error) (moved bool, err error)
	// Payload reads a parked exception's payload.
	Payload(ctx context.Context, p Part, offset int64) ([]byte, error)
	// Classify says what kind of error it is: of the backend's, or one that passed
	// through a handler.
	Classify(err error) Class
}

// A Bounded backend can end a transaction that its client has left alone.
type Bounded interface {
	// Within returns the backend for a consumer whose session lasts so long: what a
	// frozen process holds is free before that.
	Within(session time.Duration) Backend
}

// A Class says what an error of a Backend calls for.
type Class int

const (
	// Failed: the effects, or the statements, are at fault.
	Failed Class = iota
	// Again: the database chose this transaction to lose (serialization, deadlock,
	// lock timeout): the same again, no attempt is spent.
	Again
	// Down: the database does not answer.
	Down
)

var (
	// ErrStale: the step found another state than was expected and changed
	// nothing. Look, and decide anew.
	ErrStale = errors.New("store: another state than was expected")
	// ErrUnknown: whether the transaction was committed is not known. Look, and
	// decide anew.
	ErrUnknown = errors.New("store: the outcome of the commit is not known")
	// ErrEnded: the effects ended the transaction themselves.
	ErrEnded = errors.New("store: the handler has ended its transaction; it belongs to the consumer, which commits it together with the position: " +
		"return nil to commit, an error to roll back")
)

// A FencedError says that the partition has another owner.
type FencedError struct {
	Part        Part
	Token, Have int64 // asked for, and there
}

// Error names both tokens.
func (e *FencedError) Error() string {
	return fmt.Sprintf("store: %s: token %d is not above the database's %d: the partition has another owner", e.Part, e.Token, e.Have)
}

// A LayoutError says that the positions were written under another layout.
type LayoutError struct {
	Part       Part
	Want, Have Layout
}

// Error names both layouts and the way out.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("store: %s: the database's positions were written with %d lanes, hash version %d, ordering key %q, and the consumer is configured with %d, %d, %q: "+
		"set it back, or drain the group and give the handler another name", e.Part, e.Have.Lanes, e.Have.Hash, e.Have.OrderBy, e.Want.Lanes, e.Want.Hash, e.Want.OrderBy)
}

// A TopicError says that the database has positions of another topic of this name.
type TopicError struct {
	Part Part
	Have [16]byte // its id
}

// Error names both topics and the way out.
func (e *TopicError) Error() string {
	return fmt.Sprintf("store: %s: the database has positions of a topic of this name with id %x, and this one has id %x: the topic was deleted and created again, "+
		"or the database belongs to another cluster; give the handler another name to begin with this topic, or remove the old one's rows", e.Part, e.Have, e.Part.TopicID)
}

// SchemaVersion is the version of the tables that this release knows.
const SchemaVersion = 3

// A SchemaError says that the database's tables are not those of this version.
type SchemaError struct{ Have, Want int }

// Error names the command that helps.
func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return fmt.Sprintf("store: the database has no tables of orderly: run \"orderly store migrate --dsn DSN\" (version %d)", e.Want)
	case e.Have < e.Want:
		return fmt.Sprintf("store: the database has version %d of orderly's tables and this program needs %d: run \"orderly store migrate --dsn DSN\"", e.Have, e.Want)
	}
	return fmt.Sprintf("store: the database has version %d of orderly's tables and this program knows only %d: it was migrated by a newer release, which has to run here", e.Have, e.Want)
}
