package orderlytest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store/storetest"
)

var errBusy = errors.New("busy")

// keyed makes n records for each of the keys, in turn.
func keyed(n int, keys ...string) (recs []orderlytest.Record) {
	for i := range n {
		for _, k := range keys {
			recs = append(recs, orderlytest.Msg(k, fmt.Sprint(i)))
		}
	}
	return recs
}

func TestDeliverRetriesInPlace(t *testing.T) {
	began := time.Now()
	r := orderlytest.Deliver(t, func(_ context.Context, m *orderly.Message) error {
		if string(m.Key) == "a" && m.Attempt < 4 {
			return errBusy
		}
		return nil
	}, keyed(20, "a", "b", "c")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
	if n := len(r.Attempts); n != 3*20+20*3 {
		t.Errorf("%d attempts", n)
	}
	if d := r.Done("a"); len(d) != 20 || !slices.IsSortedFunc(d, func(a, b string) int { return len(a) - len(b) }) {
		t.Errorf("done: %v", d)
	}
	if n := len(r.Errors("a")); n != 60 {
		t.Errorf("%d errors", n)
	}
	if r.Elapsed < 10*time.Second || time.Since(began) > 10*time.Second {
		t.Errorf("%s of virtual time took %s", r.Elapsed, time.Since(began))
	}
}

func TestDeliverLeavesBlockedKeys(t *testing.T) {
	r := orderlytest.Deliver(t, func(_ context.Context, m *orderly.Message) error {
		if string(m.Key) == "bad" {
			return errBusy
		}
		return nil
	}, keyed(3, "bad", "good")...)
	r.RequireOrdered(t)
	if len(r.Blocked) != 1 || string(r.Blocked[0].Key) != "bad" || r.Blocked[0].Waiting != 3 || r.Left != 3 {
		t.Fatalf("%s", r)
	}
	// An hour at 30 s on the average.
	if n := r.Blocked[0].Attempts; n < 60 || n > 300 {
		t.Errorf("%d attempts", n)
	}
	if got := r.Done("good"); !reflect.DeepEqual(got, []string{"0", "1", "2"}) {
		t.Errorf("done: %v", got)
	}
	if !strings.Contains(r.String(), `key "bad" blocked at offset 0`) {
		t.Errorf("%s", r)
	}
}

// When the attempts are used up the waits are of the maximum, however few they
// were.
func TestDeliverWaitsTheMaximumAtLast(t *testing.T) {
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Retry: orderly.Retry{MaxAttempts: 2, MaxBackoff: 10 * time.Minute},
		Handler: func(context.Context, *orderly.Message) error { return errBusy },
	}}.Run(t, keyed(1, "a")...)
	if n := len(r.Attempts); n < 10 || n > 120 || r.Attempts[1].At > time.Second {
		t.Errorf("%s", r)
	}
}

func TestDeliverStops(t *testing.T) {
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{
		OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 3},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if m.Offset == 4 {
				return errBusy
			}
			return nil
		},
	}}.Run(t, keyed(4, "a", "b")...)
	if r.Stop == nil || r.Stop.Offset != 4 || r.Stop.Attempts != 3 || !errors.Is(r.Stop, errBusy) {
		t.Fatalf("%s", r)
	}
	if got := r.Done("a"); !reflect.DeepEqual(got, []string{"0", "1"}) {
		t.Errorf("done: %v", got)
	}
	r.RequireOrdered(t)
}

func TestDeliverSameSeedSameTimes(t *testing.T) {
	run := func(seed uint64) (calls []string) {
		r := orderlytest.Delivery{Seed: seed, Config: orderly.ConsumerConfig{
			Handler: func(_ context.Context, m *orderly.Message) error {
				if m.Attempt < 3 && m.Offset%3 == 0 {
					return errBusy
				}
				return nil
			}}}.Run(t, keyed(5, "a", "b", "c", "d")...)
		for _, a := range r.Attempts {
			calls = append(calls, fmt.Sprint(a.Record.Offset, a.Attempt, a.At))
		}
		slices.Sort(calls)
		return calls
	}
	if a, b := run(1), run(1); !slices.Equal(a, b) {
		t.Errorf("one seed, two deliveries:\n%v\n%v", a, b)
	}
	if slices.Equal(run(1), run(2)) {
		t.Error("the seed changes nothing")
	}
}

func TestDeliverPanicIsAnAttempt(t *testing.T) {
	r := orderlytest.Deliver(t, func(_ context.Context, m *orderly.Message) error {
		if m.Attempt == 1 {
			panic("no such table")
		}
		return nil
	}, keyed(2, "a")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
	var p *orderly.PanicError
	if errs := r.Errors("a"); len(errs) != 2 || !errors.As(errs[0], &p) || p.Value != "no such table" ||
		!strings.Contains(string(p.Stack), "TestDeliverPanicIsAnAttempt") {
		t.Errorf("errors: %v", errs)
	}
}

// FailNow, as a test's handler may call it, ends the goroutine.
func TestDeliverGoexitIsAnAttempt(t *testing.T) {
	r := orderlytest.Deliver(t, func(_ context.Context, m *orderly.Message) error {
		if m.Attempt == 1 {
			runtime.Goexit()
		}
		return nil
	}, keyed(2, "a")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
}

func TestDeliverBatch(t *testing.T) {
	var mu sync.Mutex
	sizes := map[int]int{}
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Lanes: 2, Batch: orderly.Batch{Max: 5, Wait: time.Second,
		Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			mu.Lock()
			sizes[len(ms)]++
			mu.Unlock()
			for i, m := range ms {
				if string(m.Key) == "k1" && m.Attempt == 1 {
					return i, errBusy
				}
			}
			return len(ms), nil
		}}}}.Run(t, keyed(10, "k0", "k1", "k2", "k3")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
	if sizes[5] == 0 || sizes[6] > 0 {
		t.Errorf("sizes of batches: %v", sizes)
	}
}

func TestDeliverBatchThatCannotTell(t *testing.T) {
	var mu sync.Mutex
	alone := map[int64]int{}
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Lanes: 1, Batch: orderly.Batch{Max: 4,
		Handler: func(_ context.Context, ms []*orderly.Message) (int, error) {
			if len(ms) > 1 {
				return -1, errBusy
			}
			mu.Lock()
			defer mu.Unlock()
			alone[ms[0].Offset]++
			if ms[0].Attempt != 1 {
				t.Errorf("offset %d: attempt %d: a call that cannot tell spends none", ms[0].Offset, ms[0].Attempt)
			}
			return 1, nil
		}}}}.Run(t, keyed(4, "a", "b")...)
	r.RequireOrdered(t)
	r.RequireDone(t)
	if len(alone) != 8 {
		t.Errorf("handed over alone: %v", alone)
	}
}

func TestDeliverScopesPartitionsAndNullKeys(t *testing.T) {
	var mu sync.Mutex
	running := map[string]int{}
	recs := []orderlytest.Record{
		orderlytest.NullKeyMsg("n0"), orderlytest.Msg("a", "1").Header("h", "v"), orderlytest.Msg("a", "2").Partition(3),
		orderlytest.NullKeyMsg("n1"), orderlytest.Msg("b", "3").Topic("other").Timestamp(time.Unix(7, 0)), orderlytest.Msg("c", "4"),
	}
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Scope: orderly.ScopePartition,
		Handler: func(_ context.Context, m *orderly.Message) error {
			seq := fmt.Sprint(m.Topic, m.Partition)
			mu.Lock()
			running[seq]++
			if running[seq] > 1 {
				t.Errorf("%s: two at a time", seq)
			}
			mu.Unlock()
			switch string(m.Value) {
			case "1":
				if string(m.Headers[0].Value) != "v" {
					t.Errorf("headers: %v", m.Headers)
				}
			case "3":
				if m.Topic != "other" || !m.Timestamp.Equal(time.Unix(7, 0)) {
					t.Errorf("%v", m.Record)
				}
			}
			mu.Lock()
			running[seq]--
			mu.Unlock()
			return nil
		}}}.Run(t, recs...)
	r.RequireOrdered(t)
	r.RequireDone(t)

	r = orderlytest.Delivery{Config: orderly.ConsumerConfig{NullKeys: orderly.NullKeysReject, OnExhausted: orderly.PolicyStop,
		Retry:   orderly.Retry{MaxAttempts: 2},
		Handler: func(context.Context, *orderly.Message) error { return nil }}}.Run(t, recs...)
	if r.Stop == nil || r.Stop.Offset != 0 || len(r.Errors("")) != 1 { // it is a permanent failure

		t.Errorf("%s, errors %v", r, r.Errors(""))
	}
}

func TestDeliverRefusesWhatAConsumerRefuses(t *testing.T) {
	ft := &fatal{TB: t}
	func() {
		defer func() { _ = recover() }()
		orderlytest.Delivery{}.Run(ft, keyed(1, "a")...)
	}()
	if !strings.Contains(ft.text, "none of Handler, Batch.Handler and Effects is set") {
		t.Errorf("%q", ft.text)
	}
}

// A Delivery has no store: effects would wait for ever.
func TestDeliverRefusesEffects(t *testing.T) {
	ft := &fatal{TB: t}
	func() {
		defer func() { _ = recover() }()
		orderlytest.Delivery{Config: orderly.ConsumerConfig{Effects: orderly.Effects{Store: storetest.NewMemory(),
			Handler: func(context.Context, any, *orderly.Message) error { return nil }}}}.Run(ft, keyed(1, "a")...)
	}()
	if !strings.Contains(ft.text, "delivers nothing to Effects") {
		t.Errorf("%q", ft.text)
	}
}

// One record of each key shows no order, and must not pass for it.
func TestRequireOrderedIsNotVacuous(t *testing.T) {
	r := orderlytest.Deliver(t, func(context.Context, *orderly.Message) error { return nil }, keyed(1, "a", "b")...)
	ft := &fatal{TB: t}
	func() {
		defer func() { _ = recover() }()
		r.RequireOrdered(ft)
	}()
	if !strings.Contains(ft.text, "nothing was checked") {
		t.Errorf("%q", ft.text)
	}
}

// fatal notes the failure that it is told of.
type fatal struct {
	testing.TB
	text string
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic("fatal")
}
