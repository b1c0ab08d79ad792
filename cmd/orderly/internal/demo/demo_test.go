package demo

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/internal/history"
)

// The whole demo with the columns exchanged: the naive consumer stands where
// orderly should. That must be noticed, orderly's column beside it must be
// clean, and the saved history must show the same when it is checked again.
func TestExchangedColumnsAreNoticed(t *testing.T) {
	t.Parallel()
	o := testOptions(t, 1500)
	o.naive, o.orderly = Orderly, Naive
	o.KeepLogs = t.TempDir()
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Verdict != Violated || res.Saved != o.KeepLogs {
		t.Errorf("verdict %s, saved in %q: %s", res.Verdict, res.Saved, res.Reason)
	}

	clean := res.Naive
	if f := clean.faults(); len(f) > 0 {
		t.Errorf("orderly's column: %v\n%s", f, strings.Join(clean.Examples, "\n"))
	}
	if clean.KilledPID == 0 || clean.KilledRunning == 0 || clean.JoinedPID == 0 || clean.Retries == 0 {
		t.Errorf("the disturbances did not happen: %+v", clean)
	}
	if o := clean.Outage; !o.happened() || o.Opened != 2 || o.Failed == 0 || o.GivenBack == 0 || o.Burnt != 0 || o.Probes < 2*outageProbes || o.InSteps == 0 || o.Seconds < 2 {
		t.Errorf("the outage: %+v", o)
	}

	broken := res.Orderly
	if broken.OrderViolations == 0 || broken.Overlaps == 0 || broken.Lost == 0 || broken.EndStateEqual || len(broken.Examples) == 0 {
		t.Errorf("the naive consumer did not break: %+v", broken)
	}
	events, err := history.Load(filepath.Join(res.Saved, "orderly.history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	again := history.Check(events, history.Options{Complete: true, NoTokens: true})
	if again.Counts[history.Order] != broken.OrderViolations || again.Counts[history.Loss] != broken.Lost {
		t.Errorf("checked again, the history shows %v; the demo said %+v", again.Counts, broken)
	}
	if logs, err := filepath.Glob(filepath.Join(res.Saved, "*.log")); err != nil || len(logs) != 7 {
		t.Errorf("logs %v, error %v; 7 processes ran", logs, err)
	}
}

// phases is a progress writer that calls a function at each line.
type phases struct {
	mu   sync.Mutex
	line func(string)
}

func (p *phases) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(string(b))
	return len(b), nil
}

// Ended while handlers run, the demo stops its processes and cleans up.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := testOptions(t, 1500)
	o.naive, o.orderly = Orderly, Orderly
	o.Progress = &phases{line: func(s string) {
		if strings.Contains(s, "at work") {
			cancel(cause)
		}
	}}
	res, err := Run(ctx, o)
	if !errors.Is(err, cause) || res != nil {
		t.Errorf("result %+v, error %v", res, err)
	}
}

// A consumer process that ends by itself ends the demo, with its last words.
func TestProcessEndsByItself(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, t.TempDir())
	}
	o := testOptions(t, 100)
	o.command = []string{exe, "crash"}
	_, err = Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "ended by itself (exit status 7)") ||
		!strings.Contains(err.Error(), "these are my last words") || !strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("error %v", err)
	}
}

func TestOptionsOutOfBounds(t *testing.T) {
	for _, n := range []int{-1, 0, 2, MaxPartitions + 1} {
		_, err := Run(t.Context(), Options{Partitions: n})
		var limit *LimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), "--partitions") {
			t.Errorf("%d partitions: %v", n, err)
		}
	}
	if _, err := ParseMember([]string{"-kind", "other"}); err == nil {
		t.Error("an unknown kind was taken")
	}
}

func TestMemberArgs(t *testing.T) {
	want := Member{Kind: Naive, Name: "n", Broker: "127.0.0.1:1", Group: "g", Topic: "t", Concurrency: 3, Session: session}
	args := want.args()
	got, err := ParseMember(args[1:])
	if args[0] != MemberCommand || err != nil || got != want {
		t.Errorf("%q gives %+v, %v", args, got, err)
	}
}

// A process whose demo is gone ends: it would consume for nobody.
func TestOrphanEnds(t *testing.T) {
	in, demo := io.Pipe()
	m := Member{Kind: Orderly, Name: "orphan", Broker: "127.0.0.1:1", Group: "g", Topic: "t", Concurrency: 1, Session: session}
	done := make(chan error)
	go func() { done <- m.Run(in, io.Discard, io.Discard) }()
	demo.Close()
	if err := <-done; !errors.Is(err, errParentGone) {
		t.Errorf("error %v", err)
	}
}
