package history

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Class names a rule that a history can break.
type Class string

// The classes of violations.
const (
	// Overlap: a handler of a sequence (a key of a partition, or the whole
	// partition) began while another one of it ran. Two members are excused
	// while the earlier owner is dead, frozen or has lost the partition; one
	// process never is.
	Overlap Class = "overlap"

	// Order: a record began although the one before it in its sequence was
	// not done by anyone, or had just failed under the same ownership; or a
	// lower record began after a higher one under the same ownership; or an
	// effect was applied behind a later one.
	Order Class = "order"

	// Duplicate: a record that is done began again, under the ownership in
	// which it was done or under one that began when a commit already covered
	// it; or its effect was applied twice.
	Duplicate Class = "duplicate"

	// Loss: the history is complete, and a record of the log was neither done
	// nor parked.
	Loss Class = "loss"

	// Unknown: an event names a record that is not in the log, or another key
	// than the record has.
	Unknown Class = "unknown"

	// CommitPast: a commit passes, or calls settled, a record that is neither
	// done nor parked.
	CommitPast Class = "commit-past"

	// CommitRegress: the committed offset of a partition went back.
	CommitRegress Class = "commit-regress"

	// Token: an ownership whose token is not larger than all earlier ones of
	// the partition, or a start under a token that is not the member's current
	// one.
	Token Class = "token"

	// Malformed: the history contradicts itself (an end without a start, a log
	// out of offset order), so what it says cannot be judged.
	Malformed Class = "malformed"

	// Vacuous: no sequence had two records handled, so nothing was checked.
	Vacuous Class = "vacuous"
)

// Classes lists all classes, in the order of reports.
func Classes() []Class {
	return []Class{
		NonmonotonicSend, DuplicateWrite, LostWrite, InconsistentOffset, RealtimeOrder, KeySplit, ZombieWrite, AbortedRead,
		NonmonotonicPoll, PollSkip, DualOwner, EffectReorder,
		Overlap, Order, Duplicate, Loss, Unknown, CommitPast, CommitRegress, Token, Unseen, Malformed, Vacuous,
	}
}

// Violation is one broken rule and the events that show it.
type Violation struct {
	Class     Class   `json:"class"`
	Events    []int64 `json:"events"` // numbers, rising; the last one broke the rule
	Topic     string  `json:"topic,omitempty"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Key       Key     `json:"key"`
	Text      string  `json:"text"` // one line for people

	Rule    string   `json:"rule,omitempty"`    // of the setting to change; see About
	Records []Record `json:"records,omitempty"` // of an experiment: what it is about, the first one foremost
}

func (v Violation) String() string { return string(v.Class) + ": " + v.Text }

// Report is the result of a check.
type Report struct {
	Events           int  `json:"events"`
	Partitions       int  `json:"partitions"`
	Keys             int  `json:"keys"`          // distinct keys, per partition
	Records          int  `json:"records"`       // in the log
	Handled          int  `json:"handled"`       // distinct records that a handler ended well
	DoneOtherwise    int  `json:"doneOtherwise"` // dead-lettered or skipped
	Parked           int  `json:"parked"`        // parked and not done at the end
	Attempts         int  `json:"attempts"`      // handlers begun
	Running          int  `json:"running"`       // handlers of living members that have not ended
	Commits          int  `json:"commits"`
	Effects          int  `json:"effects"`
	Redelivered      int  `json:"redelivered"`      // legal repeats of done records
	ExcusedOverlaps  int  `json:"excusedOverlaps"`  // with a member that was dead, frozen or had lost the partition
	ExcusedRegresses int  `json:"excusedRegresses"` // of the committed offset, by option
	CheckedSequences int  `json:"checkedSequences"` // sequences with two records handled or more
	Vacuous          bool `json:"vacuous"`          // there was none

	// Of an experiment.
	Sends      int            `json:"sends"`
	Resends    int            `json:"resends"` // the application sent a record again
	Acked      int            `json:"acked"`   // outcomes: ok, failed for sure, unknown
	Failed     int            `json:"failed"`
	Unclear    int            `json:"unclear"`
	Reads      int            `json:"reads"` // records that the reader of the log found
	Polls      int            `json:"polls"` // records that the application was given
	Dids       int            `json:"dids"`  // and finished
	GivenUp    int            `json:"givenUp"`
	Unnumbered int            `json:"unnumbered"` // records of the log that nothing can be said of
	Unseen     int64          `json:"unseen"`     // acknowledged or logged, and not read as far
	Unfinished int64          `json:"unfinished"` // given to the application, not finished, not committed
	Uncompared int64          `json:"uncompared"` // beyond the memory of the checker
	Faults     map[string]int `json:"faults,omitempty"`

	Counts     map[Class]int `json:"counts"`     // violations per class, all of them
	Violations []Violation   `json:"violations"` // the first ones per class, in order of finding
}

// OK says that no rule was broken.
func (r Report) OK() bool { return len(r.Counts) == 0 }

// Total is the number of violations.
func (r Report) Total() int {
	n := 0
	for _, c := range r.Counts {
		n += c
	}
	return n
}

// Err is nil when the report is OK, else an error that names the classes and
// the first violation.
func (r Report) Err() error {
	if r.OK() {
		return nil
	}
	var counts []string
	for _, c := range Classes() {
		if n := r.Counts[c]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, c))
		}
	}
	return fmt.Errorf("history violates the contract (%s); first: %s", strings.Join(counts, ", "), r.Violations[0])
}

// String gives the report as a table, with the violations behind it.
func (r Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	verdict := "HELD"
	if !r.OK() {
		verdict = "VIOLATED"
	}
	fmt.Fprintf(w, "verdict\t%s\n", verdict)
	type row struct {
		name string
		n    int
	}
	rows := []row{
		{"events", r.Events},
		{"partitions", r.Partitions},
		{"keys", r.Keys},
		{"records", r.Records},
		{"handled", r.Handled},
		{"done otherwise", r.DoneOtherwise},
		{"parked", r.Parked},
		{"attempts", r.Attempts},
		{"running", r.Running},
		{"commits", r.Commits},
		{"effects", r.Effects},
		{"redelivered", r.Redelivered},
		{"excused overlaps", r.ExcusedOverlaps},
		{"excused regresses", r.ExcusedRegresses},
		{"checked sequences", r.CheckedSequences},
	}
	if r.Sends+r.Reads+r.Polls+r.Dids > 0 {
		rows = append(rows, []row{
			{"sends", r.Sends}, {"resends", r.Resends}, {"acked", r.Acked}, {"failed", r.Failed}, {"unclear", r.Unclear},
			{"log read", r.Reads}, {"polled", r.Polls}, {"finished", r.Dids}, {"given up", r.GivenUp},
			{"unnumbered", r.Unnumbered}, {"unseen", int(r.Unseen)}, {"not compared", int(r.Uncompared)},
		}...)
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%d\n", row.name, row.n)
	}
	for _, c := range Classes() {
		if n := r.Counts[c]; n > 0 || !c.experimental() {
			fmt.Fprintf(w, "violation: %s\t%d\n", c, n)
		}
	}
	w.Flush()
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "%s\n", v)
	}
	if hidden := r.Total() - len(r.Violations); hidden > 0 {
		fmt.Fprintf(&b, "and %d more\n", hidden)
	}
	return b.String()
}
