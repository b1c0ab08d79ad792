package pipe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

func message(value string) *orderly.Message {
	return &orderly.Message{Record: &kgo.Record{Topic: "t", Partition: 3, Offset: 17, Key: []byte("k"), Value: []byte(value)}, Attempt: 1}
}

// words is what workers say on standard error; it tells when a text is there.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.want != "" && strings.Contains(w.text.String(), w.want) {
		w.want = ""
		close(w.seen)
	}
	return len(p), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func newPool(t *testing.T, n int, said *words, mode string) *Pool {
	t.Helper()
	t.Setenv(asWorker, mode)
	p, err := NewPool(Options{Command: []string{os.Args[0]}, Workers: n, Stderr: said, HideEnv: []string{"ORDERLY_SECRET"},
		Log: slog.New(slog.DiscardHandler), Backoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever a worker does, its record has one outcome, and the next record gets
// a worker that is in step.
func TestAnswers(t *testing.T) {
	said := new(words)
	p := newPool(t, 1, said, "work")
	for _, c := range []struct {
		value string
		want  string // in the error; "" for none
	}{
		{"ok", ""},
		{"fail", "it is broken"},
		{"say hello", `answered "hello": neither {"ok":true} nor {"error":"why"}`},
		{`say {"ok":false}`, "neither"},
		{`say {"ok":true,"error":"x"}`, "neither"},
		{`say {"ok":true}{"ok":true}`, "neither"},
		{`say {"ok":true,"more":1}`, "neither"},
		{`say {"error":null}`, "neither"},
		{"say ", "neither"},
		{"say null", "neither"},
		{`say {"error":""}`, "gave no reason"},
		{`say {"ok":true,"topic":"t","partition":3,"offset":17,"attempt":1}`, ""},
		{`say {"error":"","offset":17}`, "gave no reason"},
		{`say {"ok":true,"offset":16}`, "the record in hand has offset 17: this answers another one"},
		{`say {"error":"x","partition":2}`, "the record in hand has partition 3"},
		{`say {"ok":true,"topic":"u","offset":17}`, "the record in hand has topic t"},
		{`say {"ok":true,"attempt":2}`, "the record in hand has attempt 1"},
		{`say {"ok":true,"offset":"17"}`, "has offset 17"},
		{`say {"ok":true,"offset":null}`, "has offset 17"},
		{`say {"ok":true,"topic":null}`, "has topic t"},
		{`say {"permanent":"it is poisoned"}`, "it is poisoned"},
		{`say {"unavailable":"the database is down"}`, "the database is down"},
		{`say {"error":"busy","retry_after":"2s"}`, "busy"},
		{`say {"error":"busy","retry_after":"soon"}`, "no duration"},
		{`say {"error":"busy","retry_after":"-1s"}`, "no duration"},
		{`say {"permanent":"x","error":"y"}`, "neither"},
		{`say {"permanent":"x","retry_after":"1s"}`, "neither"},
		{"twice", "followed by more at once"},
		{"half", "a line without an end"},
		{"long", "a line of more than"},
		{"die", "died with the record in hand (exit status 3)"},
	} {
		err := p.Handle(t.Context(), message(c.value))
		switch {
		case c.want == "" && err != nil, c.want != "" && err == nil:
			t.Errorf("%s: %v", c.value, err)
		case c.want != "" && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "worker 1 (pid ")):
			t.Errorf("%s: %v", c.value, err)
		}
		if _, own := errors.AsType[*Failure](err); own != (c.value == "fail" || slices.Contains([]string{"gave no reason", "it is poisoned", "the database is down", "busy"}, c.want)) {
			t.Errorf("%s: its own word: %v", c.value, own)
		}
		if err := p.Handle(t.Context(), message("ok")); err != nil {
			t.Errorf("after %s: %v", c.value, err)
		}
	}
	p.Close()
	if !strings.Contains(said.String(), "no more input") {
		t.Errorf("the worker was not let end by itself:\n%s", said)
	}
}

// A worker that ended while it had no record costs no record an attempt.
func TestEndedBetweenRecords(t *testing.T) {
	p := newPool(t, 1, new(words), "work")
	defer p.Close()
	for range 3 {
		if err := p.Handle(t.Context(), message("once")); err != nil {
			t.Fatal(err)
		}
		<-p.free[0].w.dead
	}
}

// When the context ends the worker is dead, and what it has started, before the
// call returns.
func TestKilledAtTheDeadline(t *testing.T) {
	said := &words{want: "hanging with", seen: make(chan struct{})}
	p := newPool(t, 1, said, "work")
	defer p.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-said.seen
		cancel(orderly.ErrDrainDeadline)
	}()
	if err := p.Handle(ctx, message("hang")); !errors.Is(err, orderly.ErrDrainDeadline) || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("%v", err)
	}
	running.Lock()
	defer running.Unlock()
	if len(running.workers) != 0 {
		t.Errorf("%d workers run", len(running.workers))
	}
}

// A worker that never reads does not hold up the end, however long the record.
func TestDeafWorker(t *testing.T) {
	p := newPool(t, 1, new(words), "deaf")
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Handle(ctx, message(strings.Repeat("x", 1<<20))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestKillAll(t *testing.T) {
	said := &words{want: "hanging with", seen: make(chan struct{})}
	p := newPool(t, 1, said, "work")
	defer p.Close()
	go func() {
		<-said.seen
		KillAll()
	}()
	if err := p.Handle(t.Context(), message("hang")); err == nil || !strings.Contains(err.Error(), "died with the record in hand") {
		t.Errorf("%v", err)
	}
}

// Each of several records at a time has a worker of its own; a large one passes
// whole; secrets are not inherited.
func TestSideBySide(t *testing.T) {
	t.Setenv("ORDERLY_SECRET", "hunter2")
	p := newPool(t, 3, new(words), "work")
	defer p.Close()
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			value := "ok " + strings.Repeat("x", i*100_000)
			if err := p.Handle(t.Context(), message(value)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := p.Handle(t.Context(), message("env")); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "ORDERLY_WORKER=") {
		t.Errorf("%v", err)
	}
}

func TestNoProgram(t *testing.T) {
	_, err := NewPool(Options{Command: []string{"no-such-program-here"}})
	if _, ok := errors.AsType[*CommandError](err); !ok || !strings.Contains(err.Error(), "no-such-program-here") {
		t.Errorf("%v", err)
	}
}
