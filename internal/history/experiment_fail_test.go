package history

import (
	"slices"
	"strings"
	"testing"
)

// Short forms of an experiment's events, of key "a" in partition 0.

func x(kind Kind, number int64) Event {
	e := Event{Kind: kind, Topic: topic, Key: StringKey("a"), Writer: "w", Number: number}
	if kind == Ack {
		e.Partition, e.Offset = -1, -1
	}
	return e
}

func xo(kind Kind, number, offset int64) Event {
	e := x(kind, number)
	e.Partition, e.Offset = 0, offset
	return e
}

func app(m string, kind Kind, offset int64) Event {
	return Event{Kind: kind, Member: m, Topic: topic, Key: StringKey("a"), Offset: offset}
}

// inLog is records 1 to n of the log, at offsets 0 to n-1.
func inLog(n int64) []Event {
	var out []Event
	for i := range n {
		out = append(out, xo(LogRead, i+1, i))
	}
	return out
}

// handed is records of the log that a member was given and finished.
func handed(m string, offsets ...int64) []Event {
	var out []Event
	for _, o := range offsets {
		out = append(out, app(m, Poll, o), app(m, Did, o))
	}
	return out
}

func assigned(m string) Event { return Event{Kind: Assign, Member: m, Topic: topic} }
func revoked(m string) Event  { return Event{Kind: Revoke, Member: m, Topic: topic} }

func epoch(e Event, g int64) Event { e.Epoch = g; return e }

func inPart(e Event, p int32) Event { e.Partition = p; return e }

// Short experiments that break one rule and no other, or none ("").
func TestExperiments(t *testing.T) {
	freeze, thaw, kill := Event{Kind: Freeze, Member: "A"}, Event{Kind: Thaw, Member: "A"}, Event{Kind: Kill, Member: "A"}
	given := app("A", Did, 1)
	given.Cancelled = true
	other := xo(Poll, 9, 1)
	other.Member = "A"
	null := func(e Event) Event { e.Key = Key{}; return e }
	tests := []struct {
		name  string
		opt   Options
		class Class
		says  string
		rule  string
		list  []Event
	}{
		// Producers.
		{"in order", complete, "", "", "", list(x(Send, 1), x(Send, 2), xo(Ack, 1, 0), xo(Ack, 2, 1), inLog(2))},
		{"offsets with gaps", complete, "", "", "", list(xo(LogRead, 1, 3), xo(LogRead, 2, 90), xo(LogRead, 3, 1000))},
		{"numbers with gaps", complete, "", "", "", list(xo(LogRead, 1, 0), xo(LogRead, 5, 1), xo(LogRead, 9, 2))},
		{"turned round", complete, NonmonotonicSend, "offset 1", "P01", list(xo(LogRead, 2, 0), xo(LogRead, 1, 1))},
		{"turned round, two writers", complete, "", "", "", list(xo(LogRead, 2, 0), func() Event { e := xo(LogRead, 1, 1); e.Writer = "v"; return e }(), xo(LogRead, 3, 2))},
		{"twice", complete, DuplicateWrite, "second time", "P17", list(inLog(2), xo(LogRead, 1, 2))},
		{"the log read again", complete, "", "", "", list(inLog(3), inLog(3))},
		{"refused, and there", complete, AbortedRead, "failed for sure", "C12", list(x(Send, 1), x(Fail, 1), inLog(2))},
		{"there, and then known to be refused", complete, AbortedRead, "failed for sure", "C12", list(x(Send, 1), inLog(2), x(Fail, 1))},
		{"aborted after its acknowledgement", complete, "", "", "", list(x(Send, 1), x(Send, 2), x(Send, 3), xo(Ack, 1, 0), x(Fail, 1), xo(LogRead, 2, 2), xo(LogRead, 3, 3))},
		{"refused, sent again by the application, there", complete, "", "", "", list(x(Send, 1), x(Fail, 1), x(Send, 1), xo(Ack, 1, 0), inLog(2))},
		{"refused, sent again by the application, unknown, there", complete, "", "", "", list(x(Send, 1), x(Fail, 1), x(Send, 1), x(Unclear, 1), inLog(2))},
		{"refused, there, and given: one cause", complete, AbortedRead, "failed for sure", "C12", list(x(Send, 1), x(Fail, 1), inLog(2), assigned("A"),
			func() Event { e := xo(Poll, 1, 0); e.Member = "A"; return e }(), app("A", Did, 0), handed("A", 1))},
		{"unknown, and there", complete, "", "", "", list(x(Send, 1), x(Unclear, 1), inLog(2))},
		{"unknown, and not there", complete, "", "", "", list(x(Send, 1), x(Unclear, 1), x(Send, 2), xo(LogRead, 2, 0), xo(LogRead, 3, 1))},
		{"lost inside", complete, LostWrite, "number 2", "P15", list(x(Send, 2), x(Ack, 2), xo(LogRead, 1, 0), xo(LogRead, 3, 2))},
		{"lost at the end, passed by another key", complete, LostWrite, "number 3", "P15", list(inLog(2), x(Send, 3), xo(Ack, 3, 2),
			Event{Kind: LogRead, Topic: topic, Offset: 3, Key: StringKey("b")})},
		{"not read as far", complete, Unseen, "not read as far", "", list(inLog(2), x(Send, 3), xo(Ack, 3, 2))},
		{"not read as far, and still going on", Options{}, "", "", "", list(inLog(2), x(Send, 3), xo(Ack, 3, 2))},
		{"compacted", Options{Complete: true, Compacted: true}, "", "", "", list(xo(Ack, 1, 0), xo(Ack, 2, 1), xo(Ack, 3, 2), xo(LogRead, 2, 1), xo(LogRead, 3, 2))},
		{"compacted, the newest is lost", Options{Complete: true, Compacted: true}, LostWrite, "number 3", "P15", list(xo(Ack, 1, 0), xo(Ack, 2, 1), xo(Ack, 3, 2), inLog(2),
			Event{Kind: LogRead, Topic: topic, Offset: 3, Key: StringKey("b")})},
		{"two partitions", complete, KeySplit, "in partition 0 before", "K04", list(inLog(2), inPart(xo(LogRead, 3, 0), 1), inPart(xo(LogRead, 4, 1), 1))},
		{"two partitions, each in its order", complete, KeySplit, "in partition 0 before", "K04", list(xo(LogRead, 1, 0), xo(LogRead, 3, 1), inPart(xo(LogRead, 2, 0), 1))},
		{"two partitions, placed by nothing of the other one", complete, KeySplit, "in partition 0 before", "K04", list(xo(Ack, 1, 5), x(Send, 2), inPart(xo(Ack, 2, 3), 1), xo(LogRead, 1, 5), inPart(xo(LogRead, 2, 3), 1))},
		{"null keys go anywhere", complete, "", "", "", list(null(xo(LogRead, 1, 0)), null(inPart(xo(LogRead, 2, 0), 1)), null(xo(LogRead, 3, 1)))},
		{"old epoch behind the new one", complete, ZombieWrite, "under epoch 1", "T01", list(epoch(xo(LogRead, 1, 0), 1), epoch(xo(LogRead, 1, 1), 2), epoch(xo(LogRead, 2, 2), 1))},
		{"a new epoch counts anew", complete, "", "", "", list(epoch(xo(LogRead, 1, 0), 1), epoch(xo(LogRead, 2, 1), 1), epoch(xo(LogRead, 1, 2), 2))},
		{"sent after, stands before", complete, RealtimeOrder, "after offset 5 had been acknowledged", "B05", list(xo(Ack, 1, 5),
			func() Event { e := x(Send, 1); e.Writer = "v"; return e }(), func() Event { e := xo(Ack, 1, 3); e.Writer = "v"; return e }(),
			func() Event { e := xo(LogRead, 1, 3); e.Writer = "v"; return e }(), xo(LogRead, 1, 5), xo(LogRead, 2, 6))},
		{"sent before the acknowledgement", complete, "", "", "", list(func() Event { e := x(Send, 1); e.Writer = "v"; return e }(), xo(Ack, 1, 5),
			func() Event { e := xo(LogRead, 1, 3); e.Writer = "v"; return e }(), xo(LogRead, 1, 5), xo(LogRead, 2, 6))},
		{"first sent before the acknowledgement, and again", complete, "", "", "", list(xo(LogRead, 4, 0), func() Event { e := x(Send, 1); e.Writer = "v"; return e }(), xo(Ack, 5, 5),
			func() Event { e := x(Send, 1); e.Writer = "v"; return e }(), func() Event { e := xo(LogRead, 1, 3); e.Writer = "v"; return e }(), xo(LogRead, 5, 5), xo(LogRead, 6, 6))},
		{"acknowledged elsewhere", complete, InconsistentOffset, "event 1 saw another", "B05", list(xo(Ack, 1, 1), xo(LogRead, 1, 0), xo(LogRead, 2, 1))},
		{"read again, and another one", complete, InconsistentOffset, "offset 1", "B05", list(inLog(3), xo(LogRead, 9, 1))},

		// The application.
		{"all of it", complete, "", "", "", list(inLog(3), assigned("A"), handed("A", 0, 1, 2))},
		{"ahead of the reader of the log", complete, "", "", "", list(assigned("A"), handed("A", 0, 1, 2), inLog(3))},
		{"gaps", complete, "", "", "", list(assigned("A"), handed("A", 0, 5), xo(LogRead, 1, 0), xo(LogRead, 2, 5), xo(LogRead, 3, 9), handed("A", 9))},
		{"no assignments told", complete, "", "", "", list(inLog(4), handed("A", 0, 1), handed("B", 0, 1, 2), handed("A", 3))},
		{"given twice", complete, NonmonotonicPoll, "after offset 0", "C06", list(inLog(2), assigned("A"), app("A", Poll, 0), handed("A", 0, 1))},
		{"skipped", complete, PollSkip, "from offset 0 to 2", "C06", list(inLog(3), assigned("A"), handed("A", 0, 2))},
		{"skipped and committed: one cause", complete, PollSkip, "from offset 0 to 2", "C06", list(inLog(3), assigned("A"), handed("A", 0, 2), Event{Kind: Commit, Member: "A", Topic: topic, Offset: 3})},
		{"skipped, ahead of the reader of the log", complete, PollSkip, "from offset 0 to 2", "C06", list(assigned("A"), handed("A", 0, 2), inLog(3))},
		{"skipped by the next owner", complete, PollSkip, "never given", "C04", list(inLog(4), assigned("A"), handed("A", 0), kill, assigned("B"), handed("B", 2, 3))},
		{"began too late", complete, PollSkip, "began behind it", "C06", list(inLog(3), assigned("A"), handed("A", 1, 2))},
		{"committed before it was finished", complete, PollSkip, "never finished, but offset 3 was committed", "C04", list(inLog(3), assigned("A"), app("A", Poll, 0), app("A", Poll, 1), app("A", Poll, 2),
			app("A", Did, 0), app("A", Did, 2), Event{Kind: Commit, Member: "A", Topic: topic, Offset: 3})},
		{"still with the application", complete, "", "", "", list(inLog(3), assigned("A"), app("A", Poll, 0), app("A", Poll, 1), app("A", Poll, 2), app("A", Did, 0),
			Event{Kind: Commit, Member: "A", Topic: topic, Offset: 1})},
		{"not given as far", complete, Unseen, "not given records as far", "", list(inLog(3), assigned("A"), handed("A", 0, 1))},
		{"given what is not there", complete, AbortedRead, "holds no record", "C12", list(xo(LogRead, 1, 0), xo(LogRead, 2, 2), assigned("A"), handed("A", 0, 1, 2))},
		{"given what is not there, ahead", complete, AbortedRead, "holds no record", "C12", list(assigned("A"), handed("A", 0, 1, 2), xo(LogRead, 1, 0), xo(LogRead, 2, 2))},
		{"given what is not there, not finished, committed: one cause", complete, AbortedRead, "holds no record", "C12", list(xo(LogRead, 1, 0), xo(LogRead, 2, 2), assigned("A"), handed("A", 0), app("A", Poll, 1), handed("A", 2),
			Event{Kind: Commit, Member: "A", Topic: topic, Offset: 3})},
		{"given what is not there, twice", complete, AbortedRead, "holds no record", "C12", list(xo(LogRead, 1, 0), xo(LogRead, 2, 2), assigned("A"), handed("A", 0, 1), assigned("B"), handed("B", 0, 1, 2))},
		{"given what was refused", complete, AbortedRead, "failed for sure", "C12", list(x(Send, 9), x(Fail, 9), xo(LogRead, 1, 0), xo(LogRead, 2, 2), assigned("A"), handed("A", 0), other, handed("A", 2))},
		{"given another record than the log's", complete, InconsistentOffset, "offset 1", "B05", list(inLog(3), assigned("A"), handed("A", 0), other, handed("A", 2))},
		{"given another record, and then the log's", complete, InconsistentOffset, "offset 1", "B05", list(inLog(3), assigned("A"), handed("A", 0), other, assigned("B"), handed("B", 0),
			func() Event { e := xo(Poll, 2, 1); e.Member = "B"; return e }(), app("B", Did, 1), handed("B", 2))},
		{"one key in two partitions of the application", complete, "", "", "", list(app("A", Did, 5), inPart(app("A", Did, 1), 1))},
		{"owned twice", complete, DualOwner, "with A, but B had begun", "C03", list(inLog(3), assigned("A"), handed("A", 0), assigned("B"), app("B", Poll, 0), handed("A", 1), handed("B", 1, 2))},
		{"finishes what it has before the next one begins", complete, "", "", "", list(inLog(2), assigned("A"), app("A", Poll, 0), revoked("A"), assigned("B"), app("A", Did, 0), handed("B", 0, 1))},
		{"goes on behind the next one", complete, DualOwner, "with A", "C03", list(inLog(2), assigned("A"), app("A", Poll, 0), revoked("A"), assigned("B"), handed("B", 0, 1), app("A", Did, 0))},
		{"frozen, and does not know", complete, "", "", "", list(inLog(2), assigned("A"), app("A", Poll, 0), freeze, assigned("B"), handed("B", 0, 1), thaw, app("A", Did, 0))},
		{"frozen, and blamed", Options{Complete: true, BlameFrozen: true}, DualOwner, "with A", "C03", list(inLog(2), assigned("A"), app("A", Poll, 0), freeze, assigned("B"), handed("B", 0, 1), thaw, app("A", Did, 0))},
		{"given up and back again", complete, "", "", "", list(inLog(4), assigned("A"), handed("A", 0), revoked("A"), assigned("B"), handed("B", 1), revoked("B"), assigned("A"), handed("A", 2, 3))},
		{"redelivered after a death", complete, "", "", "", list(inLog(3), assigned("A"), handed("A", 0, 1), kill, assigned("B"), handed("B", 0, 1, 2))},
		{"redelivered although committed", complete, Duplicate, "began behind it", "C04", list(inLog(3), assigned("A"), handed("A", 0, 1), Event{Kind: Commit, Member: "A", Topic: topic, Offset: 2}, kill,
			assigned("B"), handed("B", 0, 1, 2))},
		{"finished twice", complete, Duplicate, "finished again", "C04", list(inLog(2), assigned("A"), handed("A", 0), app("A", Did, 0), handed("A", 1))},
		{"finished, when the member had lost the partition and has it again, and then in that assignment", complete, "", "", "",
			list(inLog(2), assigned("A"), app("A", Poll, 0), assigned("A"), app("A", Did, 0), handed("A", 0, 1))},
		{"the same, and then twice", complete, Duplicate, "finished again", "C04",
			list(inLog(2), assigned("A"), app("A", Poll, 0), assigned("A"), app("A", Did, 0), handed("A", 0), app("A", Did, 0), handed("A", 1))},
		{"finished after two assignments more", complete, "", "", "",
			list(inLog(2), assigned("A"), app("A", Poll, 0), assigned("A"), assigned("A"), app("A", Did, 0), handed("A", 0, 1))},
		{"finished in another order", complete, EffectReorder, "after offset 1", "X05", list(inLog(2), assigned("A"), app("A", Poll, 0), app("A", Poll, 1), app("A", Did, 1), app("A", Did, 0))},
		{"finished again behind a later one", complete, EffectReorder, "finished again", "X05", list(inLog(2), assigned("A"), handed("A", 0, 1), app("A", Did, 0))},
		{"given up", complete, "", "", "", list(inLog(3), assigned("A"), app("A", Poll, 0), app("A", Poll, 1), given, app("A", Did, 0), handed("A", 2), Event{Kind: Commit, Member: "A", Topic: topic, Offset: 3})},
		{"committed back", complete, CommitRegress, "committed offset 1", "L07", list(inLog(2), assigned("A"), handed("A", 0, 1), Event{Kind: Commit, Member: "A", Topic: topic, Offset: 2},
			Event{Kind: Commit, Member: "A", Topic: topic, Offset: 1})},
	}
	seen := map[Class]bool{}
	for _, tt := range tests {
		seen[tt.class] = true
		t.Run(string(tt.class)+"/"+tt.name, func(t *testing.T) {
			tt.opt.AllowVacuous = true
			r := Check(tt.list, tt.opt)
			if tt.class == "" {
				requireClasses(t, r)
				return
			}
			requireClasses(t, r, tt.class)
			v := r.Violations[0]
			if r.Total() != 1 || !strings.Contains(v.Text, tt.says) || v.Rule != tt.rule {
				t.Errorf("%d found, want 1; rule %q, want %q; %q does not say %q", r.Total(), v.Rule, tt.rule, v.Text, tt.says)
			}
		})
	}
	for _, c := range Classes() {
		if c.experimental() && !seen[c] {
			t.Errorf("class %s has no experiment that must fail", c)
		}
	}
}

// How far a split key was read cannot be told: what is missing is not called lost.
func TestSplitKeyIsNotCalledLost(t *testing.T) {
	r := Check(list(xo(Ack, 1, 0), xo(Ack, 2, 1), inPart(xo(Ack, 3, 0), 1), xo(LogRead, 1, 0), inPart(xo(LogRead, 3, 0), 1)), complete)
	requireClasses(t, r, KeySplit, Unseen)
}

// The control of the spike: a batch that is sent again behind a later one turns
// its records round; one that is sent again at once only doubles them.
func TestRetriesOfOldDefaults(t *testing.T) {
	read := func(numbers ...int64) Report {
		var out []Event
		for o, n := range numbers {
			out = append(out, xo(LogRead, n, int64(o)))
		}
		return Check(out, complete)
	}
	r := read(4, 5, 6, 1, 2, 3)
	requireCount(t, "turned round", r.Counts[NonmonotonicSend], 3)
	requireClasses(t, r, NonmonotonicSend)
	r = read(1, 2, 3, 1, 2, 3, 4)
	requireCount(t, "doubled", r.Counts[DuplicateWrite], 3)
	requireClasses(t, r, DuplicateWrite)
}

func TestOutcomes(t *testing.T) {
	answered := func(code int16) Attempt { return Attempt{Sent: true, Answered: true, Code: code} }
	cut := Attempt{Sent: true}
	for _, c := range []struct {
		name     string
		attempts []Attempt
		want     Outcome
	}{
		{"never sent", nil, OutcomeFailed},
		{"given up before it was sent", []Attempt{{}}, OutcomeFailed},
		{"acknowledged", []Attempt{answered(0)}, OutcomeAcked},
		{"DUPLICATE_SEQUENCE_NUMBER", []Attempt{cut, answered(46)}, OutcomeAcked},
		{"MESSAGE_TOO_LARGE", []Attempt{answered(10)}, OutcomeFailed},
		{"INVALID_RECORD", []Attempt{answered(87)}, OutcomeFailed},
		{"TOPIC_AUTHORIZATION_FAILED", []Attempt{answered(29)}, OutcomeFailed},
		{"NOT_ENOUGH_REPLICAS, the only attempt", []Attempt{answered(19)}, OutcomeFailed},
		{"NOT_ENOUGH_REPLICAS, each time", []Attempt{answered(19), answered(19)}, OutcomeFailed},
		{"NOT_ENOUGH_REPLICAS after a cut", []Attempt{cut, answered(19)}, OutcomeUnknown},
		{"a cut after NOT_ENOUGH_REPLICAS", []Attempt{answered(19), cut}, OutcomeUnknown},
		{"NOT_ENOUGH_REPLICAS_AFTER_APPEND", []Attempt{answered(20)}, OutcomeUnknown},
		{"REQUEST_TIMED_OUT", []Attempt{answered(7)}, OutcomeUnknown},
		{"UNKNOWN_SERVER_ERROR", []Attempt{answered(-1)}, OutcomeUnknown},
		{"a code of tomorrow", []Attempt{answered(12345)}, OutcomeUnknown},
		{"cut", []Attempt{cut}, OutcomeUnknown},
		{"acknowledged after all", []Attempt{cut, answered(7), answered(0)}, OutcomeAcked},
	} {
		if got := OutcomeOf(c.attempts); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if kinds := []Kind{OutcomeUnknown.Kind(), OutcomeAcked.Kind(), OutcomeFailed.Kind()}; !slices.Equal(kinds, []Kind{Unclear, Ack, Fail}) {
		t.Errorf("kinds %v", kinds)
	}
}
