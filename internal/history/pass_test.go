package history

import "testing"

// Histories that hold, with the counts that they must give.
func TestHeld(t *testing.T) {
	frozenHandover := list(two(), start("A", 1, 0, "a", 1), on(Freeze, "A"), own("B", 2))
	frozenHandover[6].Topic = ""
	tests := []struct {
		name   string
		opt    Options
		events []Event
		check  func(t *testing.T, r Report)
	}{
		{"one member", complete, list(two(), rest("A", 1, 0), commit("A", 4), on(Release, "A")), func(t *testing.T, r Report) {
			requireCount(t, "records", r.Records, 4)
			requireCount(t, "keys", r.Keys, 2)
			requireCount(t, "handled", r.Handled, 4)
			requireCount(t, "attempts", r.Attempts, 4)
			requireCount(t, "checked sequences", r.CheckedSequences, 2)
			requireCount(t, "commits", r.Commits, 1)
		}},
		{"keys side by side", complete, list(two(),
			start("A", 1, 0, "a", 1), start("A", 1, 1, "b", 1), end("A", 1, 1, 1, true), start("A", 1, 3, "b", 1),
			end("A", 1, 0, 1, true), end("A", 1, 3, 1, true), handled("A", 1, 2, "a")), nil},
		{"retries", complete, list(two(),
			start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), start("A", 1, 0, "a", 2), end("A", 1, 0, 2, true), rest("A", 1, 1)),
			func(t *testing.T, r Report) { requireCount(t, "attempts", r.Attempts, 5) }},
		{"handover repeats what no commit covered", complete, list(two(),
			handled("A", 1, 0, "a"), handled("A", 1, 1, "b"), commit("A", 1), on(Release, "A"), own("B", 2), rest("B", 2, 1)),
			func(t *testing.T, r Report) { requireCount(t, "redelivered", r.Redelivered, 1) }},
		{"kill while a handler runs", complete, list(two(),
			handled("A", 1, 0, "a"), start("A", 1, 1, "b", 1), Event{Kind: Kill, Member: "A"}, own("B", 2), rest("B", 2, 0)),
			func(t *testing.T, r Report) {
				requireCount(t, "redelivered", r.Redelivered, 1)
				requireCount(t, "handled", r.Handled, 4)
				requireCount(t, "excused overlaps", r.ExcusedOverlaps, 1)
				requireCount(t, "running", r.Running, 0)
			}},
		{"killed and born again under its name", complete, list(two(),
			start("A", 1, 0, "a", 1), Event{Kind: Kill, Member: "A"}, own("A", 2), rest("A", 2, 0), end("A", 1, 0, 1, true)), nil},
		{"frozen, thawed, its late result discarded", complete, list(frozenHandover,
			start("B", 2, 0, "a", 1), Event{Kind: Thaw, Member: "A"}, Event{Kind: End, Member: "A", Topic: topic, Token: 1, Attempt: 1, OK: true, Cancelled: true},
			end("B", 2, 0, 1, true), rest("B", 2, 1), on(Lost, "A")),
			func(t *testing.T, r Report) { requireCount(t, "excused overlaps", r.ExcusedOverlaps, 1) }},
		{"thawed before the new owner began, never aware", complete, list(frozenHandover,
			Event{Kind: Thaw, Member: "A"}, start("B", 2, 0, "a", 1), end("B", 2, 0, 1, true), end("A", 1, 0, 1, true), rest("B", 2, 1)),
			func(t *testing.T, r Report) { requireCount(t, "excused overlaps", r.ExcusedOverlaps, 1) }},
		{"frozen after the new owner was named", complete, list(two(), start("A", 1, 0, "a", 1), own("B", 2), Event{Kind: Freeze, Member: "A"},
			start("B", 2, 0, "a", 1), end("B", 2, 0, 1, true), Event{Kind: Thaw, Member: "A"}, handled("B", 2, 2, "a"), end("A", 1, 0, 1, true), handled("B", 2, 1, "b"), handled("B", 2, 3, "b")),
			func(t *testing.T, r Report) { requireCount(t, "excused overlaps", r.ExcusedOverlaps, 2) }},
		{"back after another owner", complete, list(two(), handled("A", 1, 0, "a"), own("B", 2), own("A", 3), rest("A", 3, 0)),
			func(t *testing.T, r Report) { requireCount(t, "redelivered", r.Redelivered, 1) }},
		{"zombie begins beside the new owner", complete, list(frozenHandover,
			end("A", 1, 0, 1, true), start("B", 2, 0, "a", 1), Event{Kind: Thaw, Member: "A"}, handled("A", 1, 2, "a"), end("B", 2, 0, 1, true), rest("B", 2, 1)),
			func(t *testing.T, r Report) {
				requireCount(t, "excused overlaps", r.ExcusedOverlaps, 1)
				requireCount(t, "redelivered", r.Redelivered, 2)
			}},
		{"lost", complete, list(two(), start("A", 1, 0, "a", 1), on(Lost, "A"), own("B", 2), start("B", 2, 0, "a", 1),
			Event{Kind: End, Member: "A", Topic: topic, Token: 1, Attempt: 1, Cancelled: true}, end("B", 2, 0, 1, true), rest("B", 2, 1)),
			func(t *testing.T, r Report) { requireCount(t, "excused overlaps", r.ExcusedOverlaps, 1) }},
		{"a stuck handler is named before the release", complete, list(two(), start("A", 1, 0, "a", 1), on(Freeze, "A"), on(Release, "A"),
			own("B", 2), rest("B", 2, 0)),
			func(t *testing.T, r Report) { requireCount(t, "excused overlaps", r.ExcusedOverlaps, 2) }},
		{"new token for a kept partition", complete, list(two(), start("A", 1, 0, "a", 1), own("A", 2), end("A", 1, 0, 1, true), rest("A", 2, 1)), nil},
		{"done ahead is not repeated", complete, list(two(), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), commit("A", 0, 1, 3), on(Release, "A"),
			own("B", 2), handled("B", 2, 0, "a"), handled("B", 2, 2, "a"), commit("B", 4)), nil},
		{"parked, passed by the commit, released", complete, list(two(),
			start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), settled(Park, "A", 0), settled(Park, "A", 2),
			handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), commit("A", 4), handled("A", 1, 0, "a"), handled("A", 1, 2, "a")), nil},
		{"parked, released, repeated for want of a resolution", complete, list(two(),
			settled(Park, "A", 0), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), settled(Park, "A", 2), commit("A", 4), handled("A", 1, 0, "a"),
			Event{Kind: Kill, Member: "A"}, own("B", 2), handled("B", 2, 0, "a"), handled("B", 2, 2, "a")),
			func(t *testing.T, r Report) { requireCount(t, "redelivered", r.Redelivered, 1) }},
		{"resolved after the next owner had read", complete, list(two(),
			settled(Park, "A", 0), settled(Park, "A", 2), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), commit("A", 4), handled("A", 1, 0, "a"),
			Event{Kind: Freeze, Member: "A"}, own("B", 2), settled(Done, "A", 0), handled("B", 2, 0, "a"), handled("B", 2, 2, "a")),
			func(t *testing.T, r Report) { requireCount(t, "redelivered", r.Redelivered, 1) }},
		{"failed at a redelivery, skipped by an operator", complete, list(two(),
			handled("A", 1, 0, "a"), on(Lost, "A"), own("B", 2), start("B", 2, 0, "a", 1), end("B", 2, 0, 1, false), settled(Done, "operator", 0), rest("B", 2, 1)), nil},
		{"parked for ever", complete, list(two(),
			start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), settled(Park, "A", 0), settled(Park, "A", 2),
			handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), commit("A", 4)),
			func(t *testing.T, r Report) { requireCount(t, "parked", r.Parked, 2) }},
		{"dead-lettered", complete, list(two(), start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), settled(Done, "A", 0), rest("A", 1, 1)),
			func(t *testing.T, r Report) { requireCount(t, "done otherwise", r.DoneOtherwise, 1) }},
		{"batch, retried from its first failure", complete, list(
			logged(0, "a"), logged(1, "a"), logged(2, "a"), own("A", 1),
			batch(start("A", 1, 0, "a", 1), 7), batch(start("A", 1, 1, "a", 1), 7), batch(start("A", 1, 2, "a", 1), 7),
			end("A", 1, 0, 1, true), end("A", 1, 1, 1, false), end("A", 1, 2, 1, false),
			batch(start("A", 1, 1, "a", 2), 8), batch(start("A", 1, 2, "a", 2), 8), end("A", 1, 1, 2, true), end("A", 1, 2, 2, true)), nil},
		{"null is not the empty key", complete, list(
			Event{Kind: Log, Topic: topic, Offset: 0}, logged(1, ""), Event{Kind: Log, Topic: topic, Offset: 2}, own("A", 1),
			Event{Kind: Start, Member: "A", Topic: topic, Token: 1, Offset: 0}, handled("A", 1, 1, ""),
			Event{Kind: End, Member: "A", Topic: topic, Token: 1, Offset: 0, OK: true},
			Event{Kind: Start, Member: "A", Topic: topic, Token: 1, Offset: 2}, Event{Kind: End, Member: "A", Topic: topic, Token: 1, Offset: 2, OK: true}),
			func(t *testing.T, r Report) { requireCount(t, "keys", r.Keys, 2) }},
		{"partition scope, offset gaps", Options{Complete: true, Scope: ScopePartition}, list(
			logged(3, "a"), logged(7, "b"), logged(100, "a"), own("A", 1), handled("A", 1, 3, "a"), handled("A", 1, 7, "b"), handled("A", 1, 100, "a")),
			func(t *testing.T, r Report) { requireCount(t, "checked sequences", r.CheckedSequences, 1) }},
		{"no tokens, no owners", Options{Complete: true, NoTokens: true}, list(two()[:4], rest("A", 0, 0)), nil},
		{"offsets moved back by an operator", Options{Complete: true, AllowCommitRegress: true}, list(two(), rest("A", 1, 0), commit("A", 4), on(Release, "A"),
			commit("op", 0), own("B", 2), rest("B", 2, 0), commit("B", 4)), func(t *testing.T, r Report) {
			requireCount(t, "excused regresses", r.ExcusedRegresses, 1)
			requireCount(t, "redelivered", r.Redelivered, 4)
		}},
		{"effects", complete, list(two(), rest("A", 1, 0), effect("A", 1, 0, "a"), effect("A", 1, 3, "b"), effect("A", 1, 2, "a")),
			func(t *testing.T, r Report) { requireCount(t, "effects", r.Effects, 3) }},
		{"nothing handled, allowed", Options{AllowVacuous: true}, two(), func(t *testing.T, r Report) {
			if !r.Vacuous {
				t.Error("the report does not say that it is vacuous")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Check(tt.events, tt.opt)
			requireClasses(t, r)
			if !r.OK() || r.Err() != nil || r.Total() != 0 {
				t.Errorf("not OK: %v", r.Err())
			}
			if tt.check != nil {
				tt.check(t, r)
			}
		})
	}
}

func batch(e Event, b int64) Event {
	e.Batch = b
	return e
}
