package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// bench is a ledger with one partition that holds A, M, D of one path.
type bench struct {
	*testing.T
	*ledger
	rec *history.Recorder
}

func newBench(t *testing.T) *bench {
	rec := history.NewRecorder(history.RecorderConfig{Checker: history.NewChecker(history.Options{Complete: true})})
	b := &bench{t, newLedger(plan{maxWork: time.Millisecond}, rec, 1), rec}
	for i, op := range []string{"A", "M", "D"} {
		b.expect(0, Change{Path: "f", Seq: i + 1, Op: op, Commit: "c"})
		b.logged(0)
	}
	return b
}

func (b *bench) say(member string, m message) {
	b.Helper()
	if _, err := b.handle(member, m); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) begin(member string, token, offset int64) {
	b.Helper()
	b.say(member, message{Kind: started, Offset: offset, Key: "f", Token: token, Attempt: 1})
}

func (b *bench) end(member string, token, offset int64) {
	b.Helper()
	b.say(member, message{Kind: ended, Offset: offset, Key: "f", Token: token, Attempt: 1, OK: true,
		Value: string(b.parts[0].entries[offset].change.encode())})
}

func (b *bench) do(member string, token, offset int64) {
	b.Helper()
	b.begin(member, token, offset)
	b.end(member, token, offset)
}

// What a killed process had done since its last commit comes again: it is
// ignored and counted, and no more of it than that is excused.
func TestLedgerRepeatsAfterKill(t *testing.T) {
	b := newBench(t)
	b.do("one", 1, 0)
	b.say("one", message{Kind: committed, Offset: 1, Token: 1})
	b.do("one", 1, 1)
	b.begin("one", 1, 2)
	if running := b.killed("one"); running != 1 {
		t.Errorf("%d handlers ran in the killed process, not 1", running)
	}
	if b.allowed != 1 {
		t.Errorf("%d repeats are allowed; one record was done and not committed", b.allowed)
	}
	b.do("two", 2, 1)
	b.do("two", 2, 2)
	if b.repeats != 1 || b.done != 3 || b.refused != 0 {
		t.Errorf("repeats %d, done %d, refused %d", b.repeats, b.done, b.refused)
	}
	if d := b.files.Differences(Truth{}); len(d) != 0 {
		t.Errorf("differences %v", d)
	}
	if err := b.rec.Report().Err(); err != nil {
		t.Error(err)
	}
	b.do("two", 2, 0)
	if c := (Column{RepeatedEffects: b.repeats, RepeatsAllowed: b.allowed, EndStateEqual: true}); len(c.faults()) != 1 {
		t.Errorf("a repeat of a committed record is excused: %v", c.faults())
	}
}

// The sink applies a change that comes late to what it finds: the end is wrong,
// and the history says why.
func TestLedgerLateChange(t *testing.T) {
	b := newBench(t)
	b.do("one", 1, 0)
	b.begin("one", 1, 1)
	b.do("one", 1, 2) // deleted
	b.end("one", 1, 1)
	if b.refused != 1 {
		t.Errorf("%d changes refused; a file that was deleted cannot be modified", b.refused)
	}
	if rep := b.rec.Report(); rep.Counts[history.Overlap] != 1 {
		t.Errorf("violations %v", rep.Counts)
	}
}

// A process is killed while a handler of it runs, on any machine: the ledger does
// not let that handler end.
func TestLedgerStrike(t *testing.T) {
	b := newBench(t)
	struck := b.strike("one", 1)
	b.do("one", 1, 0)
	b.begin("two", 2, 1)
	if struck() {
		t.Error("struck without a handler of the victim")
	}
	for _, want := range []error{errNoAnswer, nil} { // one such handler is enough
		if _, err := b.handle("one", message{Kind: started, Offset: 2, Key: "f", Token: 1, Attempt: 1}); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		if !struck() {
			t.Error("not struck")
		}
	}
	if b.killed("one") == 0 {
		t.Error("no handler ran in the killed process")
	}
}

func TestLedgerFailsAsPlanned(t *testing.T) {
	b := newBench(t)
	b.plan.perMille, b.plan.failures = 1000, 2
	for attempt := 1; ; attempt++ {
		r, err := b.handle("one", message{Kind: started, Key: "f", Token: 1, Attempt: attempt})
		if err != nil {
			t.Fatal(err)
		}
		if r.Fail != (attempt <= 2) {
			t.Fatalf("attempt %d: fail is %v", attempt, r.Fail)
		}
		if !r.Fail {
			break
		}
		// An attempt that was cut short is no failure of the record.
		b.say("one", message{Kind: ended, Token: 1, Attempt: attempt, Cancelled: true})
		b.say("one", message{Kind: started, Key: "f", Token: 1, Attempt: attempt})
		b.say("one", message{Kind: ended, Token: 1, Attempt: attempt})
	}
	if b.retries != 2 {
		t.Errorf("%d retries", b.retries)
	}
}

// A lost partition excuses what was done in it and not committed, and what runs.
func TestLedgerLostPartition(t *testing.T) {
	b := newBench(t)
	b.do("one", 1, 0)
	b.begin("one", 1, 1)
	b.say("one", message{Kind: lost, Token: 1})
	if b.allowed != 2 {
		t.Errorf("%d repeats allowed", b.allowed)
	}
	if b.owns("one")() {
		t.Error("it still owns the partition")
	}
}

func TestLedgerRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		m    message
		want string
	}{
		{message{Kind: owned, Partition: 1}, "partition 1"},
		{message{Kind: started, Offset: 3}, "not written"},
		{message{Kind: "sing"}, "not known"},
		{message{Kind: ended, OK: true, Value: "x"}, "not a change"},
		{message{Kind: ended, OK: true, Key: "f", Value: `{"path":"f","seq":2}`}, "change 1 of f"},
	} {
		if _, err := newBench(t).handle("one", c.m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, which should say %q", c.m, err, c.want)
		}
	}
}

func TestAwait(t *testing.T) {
	b := newBench(t)
	done := make(chan error)
	go func() { done <- b.await(t.Context(), time.Hour, "one record", b.doneAtLeast(1)) }()
	b.do("one", 1, 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := b.await(t.Context(), time.Millisecond, "the moon", b.doneAtLeast(9)); !errors.Is(err, errStalled) || !strings.Contains(err.Error(), "the moon") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.await(ctx, time.Hour, "the moon", b.doneAtLeast(9)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.fail(errors.New("first"))
	b.fail(errors.New("second"))
	if err := b.await(t.Context(), time.Hour, "the moon", b.doneAtLeast(9)); err == nil || err.Error() != "first" {
		t.Errorf("error %v", err)
	}
}
