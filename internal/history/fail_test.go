package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Histories that break one rule and no other. events are the numbers that the
// first violation must show; says, what its line must name.
func TestViolated(t *testing.T) {
	frozen := Event{Kind: Freeze, Member: "A"}
	thawed := Event{Kind: Thaw, Member: "A"}
	tests := []struct {
		name   string
		opt    Options
		class  Class
		events []int64
		says   []string
		list   []Event
	}{
		{"two members", complete, Overlap, []int64{6, 8}, []string{"orders/0", "offset 0", `"a"`, "at A", "at B"}, list(two(),
			start("A", 1, 0, "a", 1), own("B", 2), start("B", 2, 0, "a", 1), end("A", 1, 0, 1, true), end("B", 2, 0, 1, true), rest("B", 2, 1))},
		{"released while its handler runs", complete, Overlap, []int64{6, 9}, nil, list(two(),
			start("A", 1, 0, "a", 1), on(Release, "A"), own("B", 2), start("B", 2, 0, "a", 1), end("A", 1, 0, 1, true), end("B", 2, 0, 1, true), rest("B", 2, 1))},
		{"one process, also when it lost the partition", complete, Overlap, []int64{6, 9}, nil, list(two(),
			start("A", 1, 0, "a", 1), on(Lost, "A"), own("A", 2), start("A", 2, 0, "a", 1), end("A", 1, 0, 1, true), end("A", 2, 0, 1, true), rest("A", 2, 1))},
		{"frozen and thawed before the handover", complete, Overlap, []int64{6, 10}, nil, list(two(),
			start("A", 1, 0, "a", 1), frozen, thawed, own("B", 2), start("B", 2, 0, "a", 1), end("A", 1, 0, 1, true), end("B", 2, 0, 1, true), rest("B", 2, 1))},
		{"the younger owner's absence excuses nothing", complete, Overlap, []int64{6, 10}, nil, list(two(),
			start("A", 1, 0, "a", 1), on(Release, "A"), own("B", 2), Event{Kind: Freeze, Member: "B"}, start("B", 2, 0, "a", 1),
			end("A", 1, 0, 1, true), end("B", 2, 0, 1, true), rest("B", 2, 1))},
		{"the next record too early", complete, Overlap, []int64{6, 7}, nil, list(two(),
			start("A", 1, 0, "a", 1), start("A", 1, 2, "a", 1), end("A", 1, 0, 1, true), end("A", 1, 2, 1, true), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"))},
		{"a new life is not frozen", complete, Overlap, []int64{9, 11}, nil, list(two(),
			frozen, Event{Kind: Kill, Member: "A"}, own("A", 2), start("A", 2, 0, "a", 1), own("B", 3), start("B", 3, 0, "a", 1),
			end("A", 2, 0, 1, true), end("B", 3, 0, 1, true), rest("B", 3, 1))},
		{"a new ownership is not stuck", complete, Overlap, []int64{8, 11}, nil, list(two(),
			on(Freeze, "A"), own("A", 2), start("A", 2, 0, "a", 1), on(Release, "A"), own("B", 3), start("B", 3, 0, "a", 1),
			end("A", 2, 0, 1, true), end("B", 3, 0, 1, true), rest("B", 3, 1))},
		{"two keys, partition scope", Options{Complete: true, Scope: ScopePartition}, Overlap, []int64{6, 7}, nil, list(two(),
			start("A", 1, 0, "a", 1), start("A", 1, 1, "b", 1), end("A", 1, 0, 1, true), end("A", 1, 1, 1, true), rest("A", 1, 2))},

		{"passed over", Options{}, Order, []int64{1, 6}, []string{"orders/0 offset 2", `"a"`, "at A", "offset 0"}, list(two(), handled("A", 1, 2, "a"), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"))},
		{"after a failure", complete, Order, nil, nil, list(two(),
			start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), handled("A", 1, 2, "a"), start("A", 1, 0, "a", 2), end("A", 1, 0, 2, true), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"))},
		{"after a failed redelivery", complete, Order, []int64{10, 12}, nil, list(two(),
			handled("A", 1, 0, "a"), on(Lost, "A"), own("B", 2), start("B", 2, 0, "a", 1), end("B", 2, 0, 1, false), handled("B", 2, 2, "a"), handled("B", 2, 1, "b"), handled("B", 2, 3, "b"))},
		{"back again under one token", complete, Order, []int64{12, 14}, nil, list(two(),
			handled("A", 1, 0, "a"), handled("A", 1, 2, "a"), on(Lost, "A"), own("B", 2), handled("B", 2, 2, "a"), handled("B", 2, 0, "a"), handled("B", 2, 1, "b"), handled("B", 2, 3, "b"))},
		{"a zombie goes back", complete, Order, []int64{11, 17}, nil, list(two(),
			frozen, own("B", 2), handled("A", 1, 0, "a"), thawed, handled("A", 1, 2, "a"), handled("B", 2, 0, "a"), handled("B", 2, 2, "a"),
			handled("A", 1, 0, "a"), handled("B", 2, 1, "b"), handled("B", 2, 3, "b"))},
		{"parked and overtaken", complete, Order, nil, nil, list(two(),
			start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), settled(Park, "A", 0), handled("A", 1, 2, "a"), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"))},
		{"inside a batch", complete, Order, nil, nil, list(logged(0, "a"), logged(1, "a"), logged(2, "a"), own("A", 1),
			batch(start("A", 1, 0, "a", 1), 7), batch(start("A", 1, 1, "a", 1), 7), end("A", 1, 1, 1, true), end("A", 1, 0, 1, true), handled("A", 1, 2, "a"))},
		{"effects", complete, Order, []int64{14, 15}, nil, list(two(), rest("A", 1, 0), effect("A", 1, 2, "a"), effect("A", 1, 0, "a"))},

		{"same ownership", complete, Duplicate, []int64{7, 8}, []string{"orders/0 offset 0", `"a"`, "at A"}, list(two(), handled("A", 1, 0, "a"), handled("A", 1, 0, "a"), rest("A", 1, 1))},
		{"same ownership, new token", complete, Duplicate, []int64{7, 9}, nil, list(two(), handled("A", 1, 0, "a"), own("A", 2), handled("A", 2, 0, "a"), rest("A", 2, 1))},
		{"covered by the commit of a clean release", complete, Duplicate, []int64{7, 8, 10, 11}, nil, list(two(),
			handled("A", 1, 0, "a"), commit("A", 1), on(Release, "A"), own("B", 2), handled("B", 2, 0, "a"), rest("B", 2, 1))},
		{"same ownership, another did it too", complete, Duplicate, nil, nil, list(two(),
			handled("A", 1, 0, "a"), frozen, own("B", 2), handled("B", 2, 0, "a"), handled("A", 1, 0, "a"), rest("B", 2, 1))},
		{"covered as done ahead", complete, Duplicate, nil, nil, list(two(),
			handled("A", 1, 1, "b"), commit("A", 0, 1), Event{Kind: Kill, Member: "A"}, own("B", 2), rest("B", 2, 0))},
		{"parked, released, repeated in spite of its resolution", complete, Duplicate, nil, nil, list(two(),
			settled(Park, "A", 0), settled(Park, "A", 2), handled("A", 1, 1, "b"), handled("A", 1, 3, "b"), commit("A", 4), handled("A", 1, 0, "a"), settled(Done, "A", 0),
			on(Release, "A"), own("B", 2), handled("B", 2, 0, "a"), handled("B", 2, 2, "a"))},
		{"handed over after it was skipped", complete, Duplicate, nil, nil, list(two(), settled(Done, "A", 0), rest("A", 1, 0))},
		{"effects", complete, Duplicate, []int64{14, 15}, nil, list(two(), rest("A", 1, 0), effect("A", 1, 2, "a"), effect("A", 1, 2, "a"))},

		{"never handled", complete, Loss, []int64{4}, []string{"orders/0 offset 3", `"b"`}, list(two(), rest("A", 1, 0)[:6], commit("A", 3))},
		{"failed and left", complete, Loss, nil, nil, list(two(), rest("A", 1, 0)[:6], start("A", 1, 3, "b", 1), end("A", 1, 3, 1, false))},
		{"discarded and left", complete, Loss, nil, nil, list(two(), rest("A", 1, 0)[:6], start("A", 1, 3, "b", 1),
			Event{Kind: End, Member: "A", Topic: topic, Token: 1, Offset: 3, Attempt: 1, OK: true, Cancelled: true})},

		{"done by a dead process", complete, Loss, nil, nil, list(two(), rest("A", 1, 0)[:6], start("A", 1, 3, "b", 1),
			Event{Kind: Kill, Member: "A"}, end("A", 1, 3, 1, true))},

		{"not in the log", complete, Unknown, []int64{14}, []string{"orders/0 offset 9", `"a"`, "A"}, list(two(), rest("A", 1, 0), handled("A", 1, 9, "a"))},
		{"another key", complete, Unknown, []int64{1, 6}, []string{`"a"`, `"z"`}, list(two(), handled("A", 1, 0, "z"), rest("A", 1, 1))},
		{"null for empty", complete, Unknown, nil, []string{`""`, "null"}, list(two(), rest("A", 1, 0), logged(4, ""),
			Event{Kind: Start, Member: "A", Topic: topic, Token: 1, Offset: 4}, Event{Kind: End, Member: "A", Topic: topic, Token: 1, Offset: 4, OK: true})},
		{"parked", complete, Unknown, nil, nil, list(two(), rest("A", 1, 0), settled(Park, "A", 9))},

		{"offset", complete, CommitPast, []int64{3, 10}, []string{"orders/0 offset 2", `"a"`, "A", "offset 4"}, list(two(), rest("A", 1, 0)[:4], commit("A", 4), commit("A", 4), rest("A", 1, 2))},
		{"done ahead", complete, CommitPast, []int64{4, 10}, []string{"offset 3"}, list(two(), rest("A", 1, 0)[:4], commit("A", 2, 3), rest("A", 1, 2))},
		{"while the handler runs", complete, CommitPast, nil, nil, list(two(), start("A", 1, 0, "a", 1), commit("A", 1), end("A", 1, 0, 1, true), rest("A", 1, 1))},

		{"back", complete, CommitRegress, []int64{14, 15}, []string{"orders/0", "A", "offset 2", "4"}, list(two(), rest("A", 1, 0), commit("A", 4), commit("A", 2))},

		{"not larger", complete, Token, []int64{5, 7}, []string{"orders/0", "B", "token 1"}, list(two(), on(Release, "A"), own("B", 1), rest("B", 1, 0))},
		{"none", complete, Token, nil, nil, list(two()[:4], own("A", 0), rest("A", 0, 0))},
		{"stale at a start", complete, Token, []int64{5, 7}, []string{"offset 0", "token 1", "A", "2"}, list(two(), own("A", 2), handled("A", 1, 0, "a"), rest("A", 2, 1))},
		{"start after the release", complete, Token, []int64{7}, []string{"offset 0", "A"}, list(two(), on(Release, "A"), handled("A", 1, 0, "a"), own("B", 2), rest("B", 2, 1))},
		{"start of a dead member", complete, Token, nil, nil, list(two(), Event{Kind: Kill, Member: "A"}, start("A", 1, 0, "a", 1), end("A", 1, 0, 1, true), own("B", 2), rest("B", 2, 1))},

		{"end without a start", complete, Malformed, []int64{6}, nil, list(two(), end("A", 1, 0, 1, true), rest("A", 1, 0))},
		{"log out of order", complete, Malformed, []int64{6}, nil, list(two(), logged(2, "a"), rest("A", 1, 0))},
		{"unknown kind", complete, Malformed, nil, []string{"rule kind"}, list(two(), Event{Kind: "nap"}, rest("A", 1, 0))},
		{"numbers fall", complete, Malformed, nil, nil, list(two(), rest("A", 1, 0), Event{N: 3, Kind: Thaw, Member: "A"})},

		{"nothing handled", Options{}, Vacuous, nil, nil, two()},
		{"one record of each key", Options{}, Vacuous, nil, nil, list(two(), rest("A", 1, 0)[:4])},
	}
	seen := map[Class]bool{}
	for _, tt := range tests {
		seen[tt.class] = true
		t.Run(string(tt.class)+"/"+tt.name, func(t *testing.T) {
			r := Check(tt.list, tt.opt)
			requireClasses(t, r, tt.class)
			if tt.class == CommitPast {
				requireCount(t, "commits that passed a record", r.Total(), 1) // the second one passes nothing more
			}
			v := r.Violations[0]
			if tt.events != nil && !slices.Equal(v.Events, tt.events) {
				t.Errorf("events %v, want %v\n%s", v.Events, tt.events, v)
			}
			for _, s := range tt.says {
				if !strings.Contains(v.Text, s) {
					t.Errorf("%q does not name %s", v, s)
				}
			}
			if r.OK() || r.Err() == nil || !strings.Contains(r.Err().Error(), string(tt.class)) {
				t.Errorf("Err is %v", r.Err())
			}
		})
	}
	for _, c := range Classes() {
		if !seen[c] && !c.experimental() {
			t.Errorf("class %s has no history that must fail", c)
		}
	}
}

func TestReportKeepsFirstViolationsAndCountsAll(t *testing.T) {
	events := two()
	for range 10 {
		events = append(events, handled("A", 1, 9, "a")...)
	}
	r := Check(list(events, rest("A", 1, 0)), Options{MaxViolations: 3})
	requireCount(t, "kept", len(r.Violations), 3)
	requireCount(t, "counted", r.Total(), 10)
	for _, want := range []string{"VIOLATED", "violation: unknown", "10", "and 7 more"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, r)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(r) {
		t.Errorf("JSON gives another report (%v):\n%s", err, b)
	}
}

func TestFinishMayBeCalledOnTheWay(t *testing.T) {
	c := NewChecker(complete)
	for _, e := range list(two(), rest("A", 1, 0)) {
		c.Add(e)
		c.Finish() // reports losses and vacuity as of now
	}
	requireClasses(t, c.Finish())
	requireCount(t, "violations", c.Violations(), 0)
}

// What an ownership did, had skipped or went past is told apart also for
// records that are forgotten.
func TestForgottenRecordsOfOneOwnership(t *testing.T) {
	skipped := list(two(), start("A", 1, 0, "a", 1), end("A", 1, 0, 1, false), settled(Done, "A", 0), rest("A", 1, 1)[:2], commit("A", 2),
		handled("A", 1, 0, "a"), rest("A", 1, 2))
	back := list(two(), handled("A", 1, 0, "a"), handled("A", 1, 2, "a"), on(Lost, "A"), own("B", 2),
		handled("B", 2, 2, "a"), handled("B", 2, 1, "b"), handled("B", 2, 3, "b"), commit("B", 4), handled("B", 2, 0, "a"))
	for class, events := range map[Class][]Event{Duplicate: skipped, Order: back} {
		c := NewChecker(complete)
		c.behind = 0
		for _, e := range events {
			c.Add(e)
		}
		requireClasses(t, c.Finish(), class)
	}
}

// A parked record is never forgotten: until its resolution is written, the next
// owner may repeat it, however far the commit is.
func TestParkedRecordsAreNotForgotten(t *testing.T) {
	c := NewChecker(complete)
	c.behind = 0
	for _, e := range list(two(), settled(Park, "A", 0), handled("A", 1, 0, "a"), rest("A", 1, 1), commit("A", 4),
		Event{Kind: Kill, Member: "A"}, own("B", 2), handled("B", 2, 0, "a")) {
		c.Add(e)
	}
	requireClasses(t, c.Finish())
	requireCount(t, "redelivered", c.Finish().Redelivered, 1)
}

// Records far behind the commit are forgotten; repeats of them still are named.
func TestForgottenRecords(t *testing.T) {
	c := NewChecker(complete)
	c.behind = 0
	add := func(es ...any) {
		for _, e := range list(es...) {
			c.Add(e)
		}
	}
	add(two(), settled(Park, "A", 1), settled(Park, "A", 3), handled("A", 1, 0, "a"), handled("A", 1, 2, "a"), commit("A", 4))
	p := c.partition(topic, 0)
	requireCount(t, "known records", len(p.records)+len(p.kept), 2)
	add(handled("A", 1, 1, "b"), handled("A", 1, 3, "b"))
	requireClasses(t, c.Finish())
	add(handled("A", 1, 2, "a")) // same ownership
	requireCount(t, "duplicates", c.Finish().Counts[Duplicate], 1)
	add(on(Lost, "A"), own("B", 2), handled("B", 2, 0, "a")) // covered
	requireCount(t, "duplicates", c.Finish().Counts[Duplicate], 2)
	requireClasses(t, c.Finish(), Duplicate)
	add(handled("B", 2, 0, "nobody"))
	requireClasses(t, c.Finish(), Duplicate, Unknown)
	requireCount(t, "marks", len(p.seqs[StringKey("a")].marks), 1) // of the ownership that goes on
}
