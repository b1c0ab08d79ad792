package orderly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scopes are the shapes in which records are run: what a policy says holds in each.
func scopes(t *testing.T, run func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig)) {
	one := func(h orderly.Handler) orderly.BatchHandler {
		return func(ctx context.Context, ms []*orderly.Message) (int, error) {
			for i, m := range ms {
				if err := h(ctx, m); err != nil {
					return i, err
				}
			}
			return len(ms), nil
		}
	}
	for _, c := range []struct {
		name  string
		shape func(orderly.Handler) orderly.ConsumerConfig
	}{
		{"keys", func(h orderly.Handler) orderly.ConsumerConfig { return orderly.ConsumerConfig{Handler: h} }},
		{"partition", func(h orderly.Handler) orderly.ConsumerConfig {
			return orderly.ConsumerConfig{Handler: h, Scope: orderly.ScopePartition}
		}},
		{"batch", func(h orderly.Handler) orderly.ConsumerConfig {
			return orderly.ConsumerConfig{Batch: orderly.Batch{Handler: one(h), Max: 10}, Lanes: 2}
		}},
		{"batch, partition", func(h orderly.Handler) orderly.ConsumerConfig {
			return orderly.ConsumerConfig{Batch: orderly.Batch{Handler: one(h), Max: 10}, Scope: orderly.ScopePartition}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { run(t, c.shape) })
	}
}

// failing fails as the value says.
func failing(_ context.Context, m *orderly.Message) error {
	switch v := string(m.Value); {
	case strings.HasPrefix(v, "retry"):
		return errBusy
	case strings.HasPrefix(v, "permanent"):
		return orderly.Permanent(errBusy)
	case strings.HasPrefix(v, "panic"):
		panic(v)
	}
	return nil
}

func msgs(pairs ...string) (recs []orderlytest.Record) {
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, ":")
		recs = append(recs, orderlytest.Msg(key, value))
	}
	return recs
}

func valuesOf(rs []kgo.Record) (out []string) {
	for _, r := range rs {
		out = append(out, string(r.Value))
	}
	return out
}

// Dead-letter: N is done when its copy is acknowledged, N+1 goes on, other keys run.
func TestRowDeadLetterPolicyDelivered(t *testing.T) {
	scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
		cfg := shape(failing)
		cfg.OnExhausted, cfg.Group = orderly.PolicyDeadLetter, "billing"
		cfg.Retry = orderly.Retry{MaxAttempts: 3}
		var events seen[orderly.DeadLetteredEvent]
		cfg.Events.DeadLettered = events.add
		r := orderlytest.Delivery{Config: cfg}.Run(t,
			msgs("a:1", "a:retry", "a:2", "b:1", "b:permanent", "b:panic", "b:2", "c:1", "c:2")...)
		r.RequireOrdered(t)
		r.RequireDone(t)
		got := valuesOf(r.DeadLetters)
		slices.Sort(got)
		if !slices.Equal(got, []string{"panic", "permanent", "retry"}) {
			t.Errorf("dead letters %q", got)
		}
		for _, l := range r.DeadLetters {
			attempts, reason := "3", "exhausted"
			if string(l.Value) == "permanent" {
				attempts, reason = "1", "permanent"
			}
			h := headersOf(&l)
			if l.Topic != "test-dlt" || h["orderly-dlt-topic"] != "test" || h["orderly-dlt-attempts"] != attempts || h["orderly-dlt-reason"] != reason ||
				h["orderly-dlt-group"] != "billing" || h["orderly-dlt-partition"] != "0" || h["orderly-dlt-error"] == "" {
				t.Errorf("%s: %s %v", l.Value, l.Topic, h)
			}
			if string(l.Value) == "panic" && !strings.Contains(h["orderly-dlt-stack"], "failing") {
				t.Errorf("stack %q", h["orderly-dlt-stack"])
			}
		}
		for _, e := range events.get() {
			if e.DeadLetterTopic != "test-dlt" || e.Attempts < 1 || e.Err == nil || e.FencingToken != 1 {
				t.Errorf("%+v", e)
			}
		}
		if events.len() != 3 {
			t.Errorf("%d events", events.len())
		}
	})
}

func headersOf(r *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range r.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

// Skip: N is done unhandled, logged and counted; N+1 goes on.
func TestRowSkipPolicyDelivered(t *testing.T) {
	scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
		cfg := shape(failing)
		cfg.OnExhausted, cfg.Retry = orderly.PolicySkip, orderly.Retry{MaxAttempts: 2}
		var events seen[orderly.SkippedEvent]
		cfg.Events.Skipped = events.add
		var logged lines
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		r := orderlytest.Delivery{Config: cfg}.Run(t, msgs("a:retry", "a:1", "a:permanent", "a:2", "b:1", "b:2")...)
		r.RequireOrdered(t)
		r.RequireDone(t)
		if len(r.Skipped) != 2 || r.Skipped[0].Offset != 0 || r.Skipped[1].Offset != 2 || len(r.DeadLetters) != 0 {
			t.Errorf("skipped %+v", r.Skipped)
		}
		es := events.get()
		if len(es) != 2 || es[0].Attempts != 2 || es[0].Reason != "exhausted" || es[1].Attempts != 1 || es[1].Reason != "permanent" || !errors.Is(es[1].Err, errBusy) {
			t.Errorf("%+v", es)
		}
		if n := logged.count("a hole in the order of its key"); n != 2 {
			t.Errorf("%d holes logged", n)
		}
	})
}

// Block: a permanent failure, and one whose attempts are used up, are tried at the
// maximum backoff for ever; nothing of the key passes.
func TestRowPermanentUnderBlock(t *testing.T) {
	for value, state := range map[string]string{"permanent": "permanent", "retry": "exhausted"} {
		r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Handler: failing, Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond, MaxBackoff: time.Minute}},
			MaxTime: time.Hour}.Run(t, msgs("a:"+value, "a:1", "b:1", "b:2")...)
		r.RequireOrdered(t)
		if n := len(r.Errors("a")); n < 60 || n > 400 || r.Left != 2 || len(r.Done("b")) != 2 {
			t.Errorf("%s: %d attempts in an hour at up to a minute: %s", value, n, r)
		}
		if b := r.Blocked; len(b) != 1 || b[0].State != state || b[0].Cause != errBusy.Error() || b[0].Waiting != 2 {
			t.Errorf("%s: %+v", value, b)
		}
	}
}

// Stop names the record; a permanent failure stops at its first attempt.
func TestRowPermanentUnderStop(t *testing.T) {
	scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
		cfg := shape(failing)
		cfg.OnExhausted = orderly.PolicyStop
		r := orderlytest.Delivery{Config: cfg}.Run(t, msgs("a:1", "a:permanent", "a:2")...)
		if r.Stop == nil || r.Stop.Offset != 1 || r.Stop.Attempts != 1 || !errors.Is(r.Stop, errBusy) || slices.Contains(r.Done("a"), "2") {
			t.Errorf("%s", r)
		}
		if b := r.Blocked; len(b) != 1 || b[0].State != "stopped" || !b[0].Next.IsZero() {
			t.Errorf("%+v", b)
		}
	})
}

// Unavailable spends no attempt, whatever the policy, and does not spin; errors
// before and after count as ever.
func TestRowUnavailableSpendsNoAttempt(t *testing.T) {
	scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
		var calls atomic.Int64
		cfg := shape(func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) != "a" || m.Offset > 0 {
				return nil
			}
			switch n := calls.Add(1); {
			case n == 1:
				return errBusy
			case n < 100:
				if m.Attempt != int(n) {
					t.Errorf("call %d is attempt %d", n, m.Attempt)
				}
				return orderly.Unavailable(errBusy)
			}
			return orderly.Permanent(errBusy)
		})
		cfg.OnExhausted, cfg.Retry = orderly.PolicyDeadLetter, orderly.Retry{MaxAttempts: 3, Backoff: time.Second, MaxBackoff: time.Minute}
		var attempts seen[orderly.AttemptEvent]
		cfg.Events.Attempt = attempts.add
		r := orderlytest.Delivery{Config: cfg, MaxTime: 24 * time.Hour}.Run(t, msgs("a:1", "a:2", "a:3")...)
		r.RequireOrdered(t)
		r.RequireDone(t)
		if len(r.DeadLetters) != 1 || headersOf(&r.DeadLetters[0])["orderly-dlt-attempts"] != "2" {
			t.Errorf("%+v", r.DeadLetters)
		}
		if r.Elapsed < 20*time.Minute {
			t.Errorf("98 tries within %s of a backoff up to a minute", r.Elapsed)
		}
		if n := len(slices.DeleteFunc(attempts.get(), func(e orderly.AttemptEvent) bool { return e.Class != orderly.ClassUnavailable })); n != 98 {
			t.Errorf("%d events of class unavailable", n)
		}
	})
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 1},
		Handler: func(context.Context, *orderly.Message) error { return orderly.Unavailable(errBusy) }}}.Run(t, msgs("a:1", "a:2")...)
	if b := r.Blocked; r.Stop != nil || len(b) != 1 || b[0].State != "unavailable" || b[0].Attempts != 0 {
		t.Errorf("%s, %+v", r, b)
	}
}

// RetryAfter sets the wait, within the maximum; the attempt is spent.
func TestRetryAfterSetsTheWait(t *testing.T) {
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Retry: orderly.Retry{MaxBackoff: time.Minute},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch m.Attempt {
			case 1:
				return orderly.RetryAfter(errBusy, 7*time.Second)
			case 2:
				return orderly.RetryAfter(errBusy, time.Hour)
			}
			return nil
		}}}.Run(t, msgs("a:1")...)
	var at []time.Duration
	for _, a := range r.Attempts {
		at = append(at, a.At)
	}
	if !slices.Equal(at, []time.Duration{0, 7 * time.Second, 67 * time.Second}) {
		t.Errorf("attempts at %v", at)
	}
}

// Errors of changing types use attempts up as well; a healthy key changes nothing
// of another's count.
func TestAlternatingErrorsExhaust(t *testing.T) {
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{OnExhausted: orderly.PolicySkip, Retry: orderly.Retry{MaxAttempts: 10},
		Handler: func(_ context.Context, m *orderly.Message) error {
			switch {
			case string(m.Key) != "bad":
				return nil
			case m.Attempt%3 == 0:
				panic("x")
			case m.Attempt%3 == 1:
				return fmt.Errorf("one: %w", errBusy)
			}
			return context.DeadlineExceeded
		}}}.Run(t, keyed(2, "bad", "good", "fine")...)
	r.RequireDone(t)
	if n := len(r.Errors("bad")); n != 20 || len(r.Skipped) != 2 {
		t.Errorf("%d attempts: %s", n, r)
	}
}

// A classifier decides about errors without a mark; one that panics, or answers
// nonsense, is named once, and its errors are retryable.
func TestClassify(t *testing.T) {
	var asked atomic.Int64
	var warnings seen[orderly.WarningEvent]
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{OnExhausted: orderly.PolicyDeadLetter,
		Retry: orderly.Retry{MaxAttempts: 4, Classify: func(err error) orderly.Class {
			asked.Add(1)
			switch err.Error() {
			case "permanent":
				return orderly.ClassPermanent
			case "nonsense":
				return 77
			}
			panic("no idea")
		}},
		Events: orderly.Events{Warning: warnings.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "marked" {
				return orderly.Permanent(errors.New(string(m.Value)))
			}
			return errors.New(string(m.Value))
		}}}.Run(t, msgs("a:permanent", "b:nonsense", "c:panic", "marked:x")...)
	r.RequireDone(t)
	if asked.Load() != 9 {
		t.Errorf("asked %d times, want 1 + 4 + 4", asked.Load())
	}
	for _, l := range r.DeadLetters {
		want := "4"
		if k := string(l.Key); k == "a" || k == "marked" {
			want = "1"
		}
		if got := headersOf(&l)["orderly-dlt-attempts"]; got != want {
			t.Errorf("%s: %s attempts", l.Key, got)
		}
	}
	if w := warnings.get(); len(w) != 1 || w[0].Code != "classify" || !strings.Contains(w[0].Message, "Retry.Classify") {
		t.Errorf("%+v", w)
	}
}

// A record that does not decode is a permanent failure, and its bytes are kept.
func TestRowUndecodableIsDeadLettered(t *testing.T) {
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{OnExhausted: orderly.PolicyDeadLetter,
		Handler: orderly.JSON(func(context.Context, struct{ N int }, *orderly.Message) error { return nil })}}.
		Run(t, msgs(`a:{"n":1}`, `a:{"n`, `a:{"n":2}`)...)
	r.RequireOrdered(t)
	r.RequireDone(t)
	if got := valuesOf(r.DeadLetters); !slices.Equal(got, []string{`{"n`}) || len(r.Errors("a")) != 1 {
		t.Errorf("dead letters %q, errors %v", got, r.Errors("a"))
	}
}

// A write that fails releases nothing: it is tried again with backoff, without
// another call of the handler, and its key goes on when it works again.
func TestRowDeadLetterWriteFails(t *testing.T) {
	scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
		cfg := shape(failing)
		cfg.OnExhausted, cfg.Retry = orderly.PolicyDeadLetter, orderly.Retry{MaxAttempts: 5, Backoff: time.Second, MaxBackoff: time.Minute}
		var writes int
		var failed seen[orderly.WriteFailedEvent]
		cfg.Events.WriteFailed = failed.add
		r := orderlytest.Delivery{Config: cfg, DeadLetter: func(*kgo.Record) error {
			if writes++; writes < 5 {
				return errBusy
			}
			return nil
		}}.Run(t, msgs("a:permanent", "a:1", "b:1", "b:2")...)
		r.RequireOrdered(t)
		r.RequireDone(t)
		if len(r.Errors("a")) != 1 || writes != 5 || len(r.DeadLetters) != 1 || r.Elapsed <= 0 {
			t.Errorf("%d writes, %d attempts: %s", writes, len(r.Errors("a")), r)
		}
		for i, e := range failed.get() {
			if e.Writes != i+1 || e.GaveUp || e.Next <= 0 || !errors.Is(e.Err, errBusy) || e.DeadLetterTopic != "test-dlt" {
				t.Errorf("%+v", e)
			}
		}
	})
}

// When the tries are used up, or the letter is too large: block (the record is
// tried for ever at the maximum backoff, and written again each time it fails), or
// stop. N+1 never runs.
func TestRowDeadLetterWriteFailsForGood(t *testing.T) {
	large := strings.Repeat("x", 1_100_000)
	for _, c := range []struct {
		name, value, state string
	}{{"refused", "permanent", "dead-letter-failed"}, {"too large", "permanent" + large, "dead-letter-too-large"}} {
		scopes(t, func(t *testing.T, shape func(orderly.Handler) orderly.ConsumerConfig) {
			cfg := shape(failing)
			cfg.OnExhausted, cfg.Retry = orderly.PolicyDeadLetter, orderly.Retry{MaxAttempts: 3, Backoff: time.Second, MaxBackoff: time.Minute}
			var gaveUp atomic.Int64
			cfg.Events.WriteFailed = func(e orderly.WriteFailedEvent) {
				if e.GaveUp {
					gaveUp.Add(1)
				}
			}
			refuse := func(*kgo.Record) error { return errBusy }
			recs := msgs("a:0", "a:00", "a:"+c.value, "a:1", "b:1", "b:2")
			d := orderlytest.Delivery{Config: cfg, DeadLetter: refuse, MaxTime: time.Hour}
			r := d.Run(t, recs...)
			r.RequireOrdered(t)
			if b := r.Blocked; len(b) != 1 || b[0].State != c.state && b[0].State != "dead-letter-failing" || b[0].Cause == "" || slices.Contains(r.Done("a"), "1") {
				t.Errorf("%s: %s: %+v", c.name, r, b)
			}
			if n := len(r.Errors("a")); len(r.Blocked) == 1 && r.Blocked[0].Attempts != n {
				t.Errorf("%s: %d attempts are counted, the handler was called %d times", c.name, r.Blocked[0].Attempts, n)
			} else if n < 10 || int(gaveUp.Load()) < n-1 {
				t.Errorf("%s: %d attempts in an hour, given up %d times", c.name, n, gaveUp.Load())
			}
			if cfg.Scope == orderly.ScopeKey && len(r.Done("b")) != 2 {
				t.Errorf("%s: other keys: %s", c.name, r)
			}
			d.Config.OnWriteFailure = orderly.PolicyStop
			r = d.Run(t, recs...)
			if r.Stop == nil || r.Stop.Offset != 2 || c.name == "refused" && !errors.Is(r.Stop, errBusy) || !strings.Contains(r.Stop.Error(), "test-dlt") || slices.Contains(r.Done("a"), "1") {
				t.Errorf("%s: %s", c.name, r)
			}
		})
	}
	// The way out opens again: what was blocked goes on.
	var writes int
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Handler: failing, OnExhausted: orderly.PolicyDeadLetter, Retry: orderly.Retry{MaxAttempts: 3}},
		DeadLetter: func(*kgo.Record) error {
			if writes++; writes < 20 {
				return errBusy
			}
			return nil
		}}.Run(t, msgs("a:permanent", "a:1", "a:2")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
}

// A record comes back from a dead-letter topic and fails again: its headers do not
// grow. A long error and a long stack are cut.
func TestDeadLetterDoesNotGrow(t *testing.T) {
	rec := orderlytest.Msg("a", "x").Header("trace", "t")
	sizes := map[int]bool{}
	for range 4 {
		r := orderlytest.Delivery{Config: orderly.ConsumerConfig{OnExhausted: orderly.PolicyDeadLetter, DeadLetter: orderly.DeadLetter{MaxHeaderBytes: 4096},
			Handler: func(context.Context, *orderly.Message) error {
				return orderly.Permanent(fmt.Errorf("%s: %w", strings.Repeat("y", 100_000), errBusy))
			}}}.Run(t, rec)
		l := r.DeadLetters[0]
		n := 0
		rec = orderlytest.Msg("a", "x")
		for _, h := range l.Headers {
			n += len(h.Key) + len(h.Value)
			rec = rec.Header(h.Key, string(h.Value))
		}
		sizes[n] = true
		if n > 4096+10 || headersOf(&l)["trace"] != "t" {
			t.Fatalf("%d bytes of headers: %v", n, len(l.Headers))
		}
	}
	if len(sizes) != 1 {
		t.Errorf("headers of %v bytes", sizes)
	}
}
