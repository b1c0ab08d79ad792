package prove

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// programEnv makes the test program a program of the user's; directEnv tells it of
// brokers that it should not know.
const programEnv, directEnv = "ORDERLY_TEST_PROGRAM", "ORDERLY_TEST_DIRECT"

// userProgram is one that knows nothing of the experiment but where to write.
func userProgram(how string) int {
	brokers, topic := os.Args[1], os.Args[2]
	if brokers != os.Getenv(BrokersEnv) || topic != os.Getenv(TopicEnv) {
		fmt.Println("the environment says something else than the arguments")
		return 1
	}
	number := func(n int) string { return fmt.Sprintf(`{"order":{"version":%d}}`, n) }
	client := Weak
	switch how {
	case "exit":
		fmt.Println("cannot read my configuration")
		return 3
	case "silent":
		return 0
	case "unnumbered":
		number = func(n int) string { return fmt.Sprintf(`{"text":"%d"}`, n) }
	case "safe", "endless":
		client = Safe
	case "bypass":
		brokers = os.Getenv(directEnv)
	}
	opts, err := client.producer()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer cl.Close()
	for n := range 100 {
		for key := range 20 {
			cl.Produce(context.Background(), kgo.KeyStringRecord(fmt.Sprint("customer ", key), number(n+1)), nil)
		}
	}
	if err := cl.Flush(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	if how == "endless" {
		select {}
	}
	return 0
}

func program(t *testing.T, how string) Config {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Workload: Producer, Seq: ".order.version", Limit: 30 * time.Second,
		Subject: Subject{Kind: Program, Command: []string{"env", programEnv + "=" + how, me, "{brokers}", "{topic}"}},
	}
}

// A program in any language is the subject, and its control writes the same records
// and is struck at them.
func TestProgram(t *testing.T) {
	res := prove(t, program(t, "safe"))
	if res.Verdict.Verdict != judge.Held || res.Subject.Report.Reads != 2000 || res.Control.Report.Sends != 2000 {
		t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
	}
	res = prove(t, program(t, "weak"))
	counts := res.Subject.Report.Counts
	if res.Verdict.Verdict != judge.Violated || counts[history.NonmonotonicSend] == 0 || counts[history.DuplicateWrite] == 0 {
		t.Errorf("%s: %v", res.Verdict.Verdict, counts)
	}
	if !slices.ContainsFunc(res.Verdict.Limits, func(l string) bool { return l == programLimit }) {
		t.Error("it is not said that nobody knows what the program was told")
	}
}

// What a program does not do is told, and is no verdict.
func TestProgramShowsNothing(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv(directEnv, strings.Join(c.ListenAddrs(), ","))
	for how, want := range map[string]string{
		"exit":       "ended with an error (exit status 3); its last words: cannot read my configuration",
		"silent":     "wrote no record to " + Prefix,
		"unnumbered": "has a number at .order.version",
		"bypass":     "came past the proxy",
	} {
		cfg := program(t, how)
		cfg.Brokers = c.ListenAddrs()
		res := prove(t, cfg)
		if res.Verdict.Verdict != judge.Inconclusive || !strings.Contains(strings.Join(res.Verdict.Reasons, "\n"), want) {
			t.Errorf("%s: %s, %q; want %q", how, res.Verdict.Verdict, res.Verdict.Reasons, want)
		}
	}
}

// A program that does not end by itself is ended, and what it wrote is judged.
func TestProgramIsEnded(t *testing.T) {
	cfg := program(t, "endless")
	cfg.Limit = 5 * time.Second
	if res := prove(t, cfg); res.Verdict.Verdict != judge.Held {
		t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
	}
}

// Only topics and groups of the experiment's own are made, and they are gone at its
// end; what was there stays as it was.
func TestTouchesNothingElse(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond), kfake.SeedTopics(3, "orders", Prefix+"mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	names := func() []string {
		topics, err := adm.ListTopics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		groups, err := adm.ListGroups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return append(topics.Names(), groups.Groups()...)
	}
	before := names()
	for _, keep := range []bool{false, true} {
		res := prove(t, Config{Workload: EndToEnd, Brokers: c.ListenAddrs(), Records: 60, Faults: DefaultFaults(Producer), MinFaults: 1, Keep: keep})
		after := names()
		if !keep && !slices.Equal(before, after) {
			t.Errorf("there were %q, and now %q", before, after)
		}
		for _, topic := range res.Topics {
			if !strings.HasPrefix(topic, Prefix) || slices.Contains(after, topic) != keep {
				t.Errorf("kept %v: topic %s, there are %q", keep, topic, after)
			}
		}
	}
	ends, err := adm.ListEndOffsets(t.Context(), "orders", Prefix+"mine")
	if err != nil || ends.Error() != nil {
		t.Fatal(err, ends.Error())
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("%s/%d was written to", o.Topic, o.Partition)
		}
	})

	// A topic that is there is not taken.
	w, err := openWorld(t.Context(), &Config{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	w.prefix = Prefix
	if _, err := w.create(t.Context(), "mine", 3); err == nil || !strings.Contains(err.Error(), "it is there already") {
		t.Errorf("a topic that is there: %v", err)
	}
	if err := w.close(t.Context()); err != nil {
		t.Error(err)
	}
	if !slices.Contains(names(), Prefix+"mine") {
		t.Error("it was removed")
	}
}
