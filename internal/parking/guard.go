package parking

import "fmt"

// A Guard is what the metadata of a partition's commit says of its parking
// topic.
type Guard struct {
	TopicID TopicID
	Trim    int64 // the topic's partition counts from here on; a marker stands there
	Holds   bool  // something is parked, or settled above the watermark
}

// Found is what an owner finds before it begins.
type Found struct {
	Committed bool   // there is a commit with our metadata
	Guard     *Guard // nil: it names no parking topic

	Topic    bool // there is a parking topic
	TopicID  [16]byte
	Start    int64 // of the log of its partition
	HasState bool  // it holds entries other than markers and commands
}

// A MismatchError is a parking topic that is not what the group's commit says it
// is. The partition stops: going on would drop or repeat what is parked.
type MismatchError struct{ Reason, Way string }

func (e *MismatchError) Error() string { return "parking: " + e.Reason + ": " + e.Way }

// Check compares the parking topic with the commit. From is where replay begins;
// fresh says that nothing before the own marker counts, except commands.
func Check(f Found, r *Rules) (from int64, fresh bool, err error) {
	g := f.Guard
	switch {
	case !f.Topic && g != nil && g.Holds:
		return 0, false, &MismatchError{"the parking topic is gone, and records of this partition were parked in it",
			"restore the topic, or say what becomes of them before the group starts"}
	case !f.Topic:
		return 0, false, nil
	case !f.Committed && f.HasState && !r.broken(ruleMissing):
		return 0, false, &MismatchError{"the group has no commit for this partition, while its parking topic holds entries",
			"commit the offset at which the parked records were left, or say what becomes of them before the group starts"}
	case g == nil:
		return f.Start, true, nil
	case g.TopicID != f.TopicID && g.Holds:
		return 0, false, &MismatchError{"the parking topic was deleted and created again while records were parked in it",
			"say what becomes of them before the group starts"}
	case g.TopicID != f.TopicID:
		return f.Start, true, nil
	case f.Start > g.Trim:
		return 0, false, &MismatchError{fmt.Sprintf("the parking topic begins at %d, above %d, from where its entries are needed", f.Start, g.Trim),
			"something else has deleted records of it: set retention.ms and retention.bytes to -1, and say what becomes of the lost ones"}
	}
	return g.Trim, false, nil
}

// sameOrder says what speaks against going on with parked records under another
// configuration than the one under which they were parked. Policies may differ.
func sameOrder(before, now *MarkerBody) error {
	differs := func(what, a, b string) error {
		return &MismatchError{fmt.Sprintf("records are parked under %s %q, and this consumer has %q: their order would not be kept", what, a, b),
			"run it as before until nothing is parked, or say what becomes of the parked records"}
	}
	switch {
	case before.Scope != now.Scope:
		return differs("scope", before.Scope, now.Scope)
	case before.OrderBy != now.OrderBy:
		return differs("OrderBy", before.OrderBy, now.OrderBy)
	case before.Store != now.Store:
		return &MismatchError{"records are parked in it by a handler without Effects, and Effects would pass them",
			"run the handler that parked them until nothing is parked, or say what becomes of the parked records"}
	case before.SourceID != now.SourceID:
		return &MismatchError{"records are parked of a source topic that was deleted and created again",
			"say what becomes of the parked records before the group starts"}
	}
	return nil
}
