package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/internal/postgrestest"
)

func TestMain(m *testing.M) {
	if isMember() {
		os.Exit(runMember())
	}
	os.Exit(m.Run())
}

// play runs the bank, small, and takes no other end than right accounts.
func playSmall(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"--records", "600", "--json"}, args...), &out, &errs)
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("exit %d, %v\n%s\n%s", code, err, &out, &errs)
	}
	t.Logf("%s\n%+v", &errs, r)
	if r.Verdict == violated || r.Orderly.Wrong > 0 || r.Orderly.Total != r.Orderly.Want || r.Records != 600 {
		t.Errorf("exit %d: %+v", code, r)
	}
	if want := map[string]int{kept: 0, inconclusive: exitInconclusive}[r.Verdict]; code != want {
		t.Errorf("%s: exit %d, want %d", r.Verdict, code, want)
	}
	events := []string{"killed", "away", "joins"}
	if canFreeze {
		events = append(events, "frozen")
	}
	if len(r.Events) != len(events) || slices.ContainsFunc(events, func(e string) bool { return !strings.Contains(strings.Join(r.Events, "\n"), e) }) {
		t.Errorf("events: %q", r.Events)
	}
	return r
}

func TestBank(t *testing.T) {
	if kafkatest.Shared() != nil {
		return // in the run without
	}
	playSmall(t)
}

// With Kafka and PostgreSQL, by flags.
func TestBankOnKafkaAndPostgres(t *testing.T) {
	addrs := kafkatest.Shared()
	if addrs == nil || !postgrestest.Require(t) {
		return // testall runs this again with Kafka
	}
	url := postgrestest.Database(t, postgrestest.Start(t).URL(), func(url, statement string) error {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	})
	playSmall(t, "--brokers", strings.Join(addrs, ","), "--postgres", url, "--session", (1500 * time.Millisecond).String())
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--records", "5"}, {"--what"}, {"x"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%q: exit %d, %s", args, code, &errs)
		}
	}
}

// The records are a function of the seed, and their sum is the model: each draws a whole
// deposit of its account, once, and after it.
func TestGenerate(t *testing.T) {
	entries, model := generate(7, 2000)
	again, _ := generate(7, 2000)
	other, _ := generate(8, 2000)
	if !slices.Equal(entries, again) || slices.Equal(entries, other) {
		t.Error("the seed does not decide the records")
	}
	have, open, kinds := map[string]int64{}, map[string]map[int]int64{}, map[string]int{}
	for _, e := range entries {
		kinds[e.Kind]++
		if open[e.Account] == nil {
			open[e.Account] = map[int]int64{}
		}
		if e.Kind == deposit {
			open[e.Account][e.Number] = e.Amount
			have[e.Account] += e.Amount
			continue
		}
		if amount, ok := open[e.Account][e.Draws]; !ok || amount != e.Amount {
			t.Fatalf("%+v draws %d of %t", e, amount, ok)
		}
		delete(open[e.Account], e.Draws)
		have[e.Account] -= e.Amount
		if e.Kind == transfer {
			have[e.To] += e.Amount
		}
	}
	for id, want := range model {
		if have[id] != want {
			t.Errorf("%s: %d, model %d", id, have[id], want)
		}
	}
	if kinds[deposit] == 0 || kinds[withdrawal] == 0 || kinds[transfer] == 0 {
		t.Errorf("%v", kinds)
	}
}

// The verdicts: a wrong account of ours is a violation, whatever the control shows.
func TestVerdict(t *testing.T) {
	ctx := t.Context()
	b, err := openSQLite(ctx, t.TempDir()+"/x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	model := map[string]int64{"a": 100, "b": 50}
	if err := b.found(ctx, model); err != nil {
		t.Fatal(err)
	}
	do := func(e entry) error {
		return b.alone(ctx, func(exec execer) error { return book(ctx, exec, e, 1) })
	}
	one := entry{Account: "a", Number: 1, Kind: deposit, Amount: 120}
	for what, ok := range map[string]bool{"a withdrawal without its deposit": do(entry{Account: "a", Number: 2, Kind: withdrawal, Amount: 120, Draws: 1}) != nil,
		"a deposit": do(one) == nil, "the same again": do(one) != nil} {
		if !ok {
			t.Error(what)
		}
	}
	var k bank
	if err := k.compare(ctx, b, model); err != nil || k != (bank{Wrong: 2, Missing: 50, Invented: 20, Total: 120, Want: 150}) {
		t.Errorf("%+v, %v", k, err)
	}
	for want, r := range map[string]*result{violated: {Naive: k, Orderly: k}, inconclusive: {}, kept: {Naive: k}} {
		if r.judge(); r.Verdict != want {
			t.Errorf("%+v: want %s", r, want)
		}
	}
	stalled := &result{Naive: k, Stalled: "x"}
	if stalled.judge(); stalled.Verdict != violated {
		t.Errorf("%+v", stalled)
	}
}
