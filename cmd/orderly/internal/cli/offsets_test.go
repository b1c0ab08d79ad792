package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A group with effects is shown and moved by commands, in SQLite.
func TestOffsetsSQLite(t *testing.T) { offsetsByCommand(t, sqliteUnderTest(t)) }

// And in PostgreSQL.
func TestOffsetsPostgres(t *testing.T) {
	if db, ok := postgresUnderTest(t); ok {
		offsetsByCommand(t, db)
	}
}

func offsetsByCommand(t *testing.T, db storeUnderTest) {
	t.Helper()
	dsn, effects, count := db.dsn, db.effects(noFailure), db.count
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	step := commands(t, b)
	stored := []string{"--store", dsn}
	g := b.Group(orderly.ConsumerConfig{Group: "billing", Topics: []string{"orders"}, Effects: effects})
	for range 10 {
		b.Produce("orders", orderlytest.Msg("k", "v"))
	}
	run := func(effects int) {
		t.Helper()
		m := g.Start()
		b.Eventually("the effects", func() bool { return count("SELECT count(*) FROM effect") >= effects })
		b.Eventually("the commit", func() bool {
			ps := m.Consumer().State().Partitions
			return len(ps) == 1 && ps[0].Committed == b.End("orders", 0)
		})
		step(exitFailed, "offsets reset --to earliest --reason x", "has a member", stored...)
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
		if n := count("SELECT count(*) FROM effect"); n != effects {
			t.Fatalf("%d effects, want %d", n, effects)
		}
	}
	step(exitUsage, "offsets reset --reason x", "needs --to")
	step(exitUsage, "offsets reset --to earliest", "needs --reason")
	step(exitUsage, "offsets reset --to soon --reason x", "it is earliest, latest, stored")
	step(exitUsage, "offsets reset --to 1 --reason x --parked maybe", "keep or drop")
	step(exitUsage, "offsets show --store mysql://x", "--dsn names neither")
	step(exitRefused, "offsets show --store sqlite:/nowhere/none.db", "the database")
	run(10)
	var shown struct {
		Committed, Watermark int64
		Store                []struct {
			Handler string
			Low     int64
			Highest int64
		}
	}
	out := step(exitOK, "offsets show --json", `"store"`, stored...)
	if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Committed != 10 || len(shown.Store) != 1 || shown.Store[0].Handler != "default" || shown.Store[0].Highest != 10 {
		t.Errorf("%s: %+v, %v", out, shown, err)
	}
	step(exitOK, "offsets show", "default: from", stored...)
	step(exitOK, "offsets reset --to 7 --reason again --dry-run", "false", stored...)
	step(exitOK, "offsets show", "0-10  10", stored...)
	step(exitOK, "offsets reset --to 7 --reason again --who ada", "ada has moved group billing in topic orders to 7: again", stored...)
	run(13)
	// Without the store the next start is refused, with both ways out.
	step(exitOK, "offsets reset --to earliest --partitions 0 --reason x", "true")
	if err := g.Start().Wait(); err == nil || !strings.Contains(err.Error(), "--to stored") {
		t.Errorf("Run: %v", err)
	}
	step(exitOK, "offsets reset --to stored --reason undone --json", `"done":true`, stored...)
	run(13)
	if n := count("SELECT count(*) FROM orderly_audit WHERE decision = 'reset' AND by_whom = 'ada' AND why = 'again' AND off = 7"); n != 1 {
		t.Errorf("%d audits", n)
	}
}

// A group that the broker does not know has committed nothing: that is shown, with the
// question whether it is the right one, and a reset gives it its first offsets.
func TestOffsetsOfAGroupThatIsNotThere(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	at := []string{"--brokers", strings.Join(b.Addrs(), ","), "-t", "orders", "-g", "nope"}
	code, out, errs := call(t.Context(), append([]string{"offsets", "show"}, at...)...)
	if code != exitOK || !strings.Contains(out, "0-0") || !strings.Contains(errs, "group nope has committed nothing in topic orders") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	code, out, errs = call(t.Context(), append([]string{"offsets", "reset", "--to", "earliest", "--reason", "x"}, at...)...)
	if code != exitOK || strings.Count(out, "true") != 2 {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
	if code, out, errs = call(t.Context(), append([]string{"offsets", "show"}, at...)...); code != exitOK || strings.Contains(errs, "committed nothing") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
}
