package cli

import (
	"strings"
	"testing"

	"github.com/orderly-go/orderly/orderlytest"
)

// From a poisoned record to its dead letter and back, by the commands alone.
func TestDeadLetterAndBack(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	b.Produce("orders", orderlytest.Msg("a", "1"), orderlytest.Msg("a", "2"))
	addr := strings.Join(b.Addrs(), ",")
	step := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := call(t.Context(), append(args, "-b", addr)...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out, errs)
		}
		return out + errs
	}
	consume := []string{"consume", "-t", "orders", "-g", "g", "--until-end", "--session-timeout", "6s", "--on-exhausted", "dead-letter", "--", "sh", "-c",
		`while read -r line; do echo '{"permanent":"it is poisoned"}'; done`}
	run := func(want int) string {
		t.Helper()
		args := append([]string{consume[0], "-b", addr}, consume[1:]...)
		code, out, errs := call(t.Context(), args...)
		if code != want {
			t.Fatalf("exit %d, want %d\n%s%s", code, want, out, errs)
		}
		return out + errs
	}
	if text := run(exitRefused); !strings.Contains(text, "orderly setup --topic orders --group g --dead-letter") {
		t.Errorf("without its topic: %s", text)
	}
	setup := []string{"setup", "-t", "orders", "-g", "g", "--dead-letter"}
	if text := step(exitOK, append(setup, "--dry-run")...); !strings.Contains(text, "would make orders-dlt: 2 partitions, 1 replica") {
		t.Error(text)
	}
	if text := step(exitOK, setup...); !strings.HasPrefix(text, "made orders-dlt: 2 partitions") {
		t.Error(text)
	}
	if text := step(exitOK, setup...); !strings.Contains(text, "orders-dlt is there") {
		t.Error(text)
	}
	if text := step(exitOK, append(setup, "--print-acls", "--principal", "User:x")...); strings.Count(text, `--allow-principal "User:x"`) != 3 || !strings.Contains(text, "Write") {
		t.Error(text)
	}
	run(exitOK)
	if n := b.End("orders-dlt", 0) + b.End("orders-dlt", 1); n != 2 {
		t.Fatalf("%d dead letters", n)
	}
	if text := step(exitOK, "dlt", "redrive", "-t", "orders", "--any-partition", "--dry-run"); !strings.Contains(text, "2 records would be sent back") {
		t.Error(text)
	}
	if text := step(exitOK, "dlt", "redrive", "-t", "orders", "--any-partition"); !strings.Contains(text, "2 records sent back, 0 keys held") {
		t.Error(text)
	}
	run(exitOK)
	if text := step(exitFailed, "dlt", "redrive", "-t", "orders"); !strings.Contains(text, "0 records sent back, 1 key held, 1 record waits behind") || !strings.Contains(text, "--max-redrives") {
		t.Error(text)
	}
	b.CreateTopic("narrow", 1)
	if text := step(exitFailed, append(setup, "--dead-letter-topic", "narrow")...); !strings.Contains(text, "narrow is there with 1 partition") {
		t.Error(text)
	}
}

func TestDeadLetterUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"setup -t t -g g", "--dead-letter or --parking"},
		{"keys list --state parked -g g", "needs a topic"},
		{"keys list --state asleep --members a:1", "parked, blocked"},
		{"keys retry -t t -g g --partition 0 --key a", "--offset"},
		{"keys skip -t t -g g --partition 0 --key a --offset 1", "--reason"},
		{"setup -t t -g g --dead-letter --dead-letter-topic t", "the topic itself"},
		{"setup -t t --dead-letter", "needs a group"},
		{"dlt redrive", "needs a topic"},
		{"dlt redrive -t t --dlt t", "the topic itself"},
		{"dlt redrive -t t --rate 0", "--rate is 0"},
		{"dlt redrive -t t --max-redrives 0", "--max-redrives is 0"},
		{"dlt nothing", "unknown command"},
		{"consume -t t -g g --on-exhausted drop", "stop, block, park, dead-letter or skip"},
		{"consume -t t -g g --on-gap stop", "only with --sequence"},
		{"consume -t t -g g --sequence version", "does not begin with a dot"},
		{"consume -t t -g g --sequence headers --on-gap wait", "detect, park, stop or ignore"},
		{"consume -t t -g g --dead-letter-topic d", "only with --on-exhausted dead-letter"},
		{"consume -t t -g g --on-write-failure stop", "only with --on-exhausted dead-letter"},
		{"consume -t t -g g --on-exhausted dead-letter --on-write-failure skip", "block or stop"},
		{"consume -t t -g g --on-exhausted dead-letter --dead-letter-topic t", "is one of Topics"},
	} {
		code, _, errs := call(t.Context(), strings.Fields(c.args)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %s", c.args, code, errs)
		}
	}
}
