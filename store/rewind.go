package store

import "context"

// A Standing is what the database says of one partition, for operators.
type Standing struct {
	Part   Part
	Layout Layout
	State  State // of all lanes
}

// A Rewind begins a partition anew at an offset: forward or back.
type Rewind struct {
	Part    Part
	To      int64
	Token   int64  // above the database's
	By, Why string // for the audit
	// Keep takes over the exceptions that are parked; the others go.
	Keep bool
}

// A Rewinder is a Backend whose partitions an operator can begin anew, while they have
// no owner.
//
// An owner's compare-and-set rests on positions that only rise. So no row is set back:
// the partition gets rows of its own, under which its next owner begins, and those of
// before are closed, so that a transaction of an owner of before, which was frozen
// perhaps, finds nothing that it expects, and rolls back.
type Rewinder interface {
	Backend
	// Standings reads what there is of a group and a topic, of all its handlers.
	Standings(ctx context.Context, group, topic string) ([]Standing, error)
	// Rewind does it in one transaction, with its audit. It returns a *FencedError when
	// the database holds that token or a higher one. A partition that is not known stays
	// so: it begins where the group has committed.
	Rewind(ctx context.Context, r Rewind) error
}
