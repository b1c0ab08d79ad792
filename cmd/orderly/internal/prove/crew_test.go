package prove

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumerEnv makes the test program a consumer of the user's.
const consumerEnv = "ORDERLY_TEST_CONSUMER"

// userConsumer is one that knows nothing of the experiment but where to read and how
// to say what it did.
func userConsumer(how string) int {
	brokers, topic, group, name := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	if brokers != os.Getenv(BrokersEnv) || topic != os.Getenv(TopicEnv) || group != os.Getenv(GroupEnv) || name != os.Getenv(MemberEnv) {
		fmt.Fprintln(os.Stderr, "the environment says something else than the arguments")
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch how {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot read my configuration")
		return 3
	case "idle":
		<-ctx.Done()
		return 0
	case "bypass":
		brokers = os.Getenv(directEnv)
	}
	opts := append(hasty(),
		kgo.SeedBrokers(brokers), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		// It begins where the group does, and not at the end.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		// A busy machine may take seconds for 50 records, for which a rebalance waits.
		kgo.SessionTimeout(4*time.Second), kgo.RebalanceTimeout(30*time.Second), kgo.HeartbeatInterval(100*time.Millisecond),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cl.CloseAllowingRebalance()
	fmt.Println("a line that has nothing to do with it")
	for ctx.Err() == nil {
		fs := cl.PollRecords(ctx, 50)
		if how == "goroutines" {
			handOff(name, fs.Records())
		} else {
			fs.EachRecord(func(r *kgo.Record) { consumeOne(how, name, r) })
		}
		if err := cl.CommitUncommittedOffsets(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		cl.AllowRebalance()
	}
	return 0
}

// teller returns how a consumer speaks of a record, and its number.
func teller(name string, r *kgo.Record) (say func(what string), number int) {
	var v struct{ N int }
	_ = json.Unmarshal(r.Value, &v)
	return func(what string) { fmt.Printf("%s %s %s %d\n", name, what, r.Key, v.N) }, v.N
}

// handOff gives each record to a goroutine of its own. Every third one is slow: the record
// of its key that comes next among these is done before it.
func handOff(name string, recs []*kgo.Record) {
	next := map[string]chan struct{}{}
	for _, r := range slices.Backward(recs) {
		say, number := teller(name, r)
		quicker, done := next[string(r.Key)], make(chan struct{})
		next[string(r.Key)] = done
		go func() {
			defer close(done)
			say("start")
			if number%3 == 0 && quicker != nil {
				<-quicker
			}
			say("done")
		}()
	}
}

func consumeOne(how, name string, r *kgo.Record) {
	say, number := teller(name, r)
	switch how {
	case "plain", "bypass":
		say("done")
	case "starts": // also with what a retry looks like
		say("start")
		work(r.Value) // who is killed is in the middle of it
		if number%50 == 0 {
			say("failed")
			say("start")
		}
		say("done")
	case "json":
		fmt.Printf(`{"member":%q,"did":"start","partition":%d,"offset":%d}`+"\n", name, r.Partition, r.Offset)
		fmt.Printf(`{"member":%q,"key":%q,"number":%d}`+"\n", name, r.Key, number)
	case "skips":
		if number%50 != 0 {
			say("done")
		}
	case "dead-letters":
		if number%50 == 0 {
			say("skipped")
		} else {
			say("done")
		}
	case "repeats":
		say("done")
		if number%50 == 0 {
			say("done")
		}
	case "pieces":
		fmt.Printf("%s done %s ", name, r.Key)
		fmt.Printf("%d\n", number)
		fmt.Printf("%s done %s\n", name, r.Key)
	case "stranger":
		fmt.Printf("%s done customer-7 %d\n", name, number)
	}
}

// work is what most of the time of a record goes into.
func work(value []byte) {
	sum := sha256.Sum256(value)
	for range 5000 {
		sum = sha256.Sum256(sum[:])
	}
	runtime.KeepAlive(sum)
}

func consumer(t *testing.T, how string) Config {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Workload: Consumer, Records: 100, Limit: 20 * time.Second, portions: 100,
		Subject: Subject{Kind: Program, Command: []string{"env", consumerEnv + "=" + how, me, "{brokers}", "{topic}", "{group}", "{member}"}},
	}
}

// Copies of a program in any language process what is written, while copies join, are
// told to end, and are killed. However they say it: they hold the order.
func TestCrew(t *testing.T) {
	for _, how := range []string{"plain", "starts", "json", "dead-letters"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			res := prove(t, consumer(t, how))
			r := res.Subject.Report
			if res.Verdict.Verdict != judge.Held || r.Records != 2000 || r.Handled+r.DoneOtherwise != 2000 {
				t.Errorf("%s: %v; %+v", res.Verdict.Verdict, res.Verdict.Reasons, r)
			}
			for _, stage := range crewStages {
				if r.Faults[stage.why] != 1 {
					t.Errorf("%q happened %d times", stage.why, r.Faults[stage.why])
				}
			}
			if how == "dead-letters" && r.DoneOtherwise != 40 {
				t.Errorf("%d were skipped", r.DoneOtherwise)
			}
			if !slices.Contains(res.Verdict.Limits, crewLimit) {
				t.Error("it is not said that only the program's own lines tell")
			}
		})
	}
}

// What a program does wrong is found, and nothing else.
func TestCrewIsWrong(t *testing.T) {
	for how, want := range map[string]map[history.Class]int{
		"goroutines": {history.Order: -1, history.Overlap: -1}, // any number
		"skips":      {history.Loss: 40, history.CommitPast: 4, history.Order: -1},
		"repeats":    {history.Duplicate: -1},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cfg := consumer(t, how)
			if how == "skips" {
				cfg.Limit = 5 * time.Second // what it skipped is waited for
			}
			res := prove(t, cfg)
			counts := res.Subject.Report.Counts
			if res.Verdict.Verdict != judge.Violated {
				t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
			}
			for class, n := range want {
				if counts[class] == 0 || n > 0 && counts[class] != n {
					t.Errorf("%d %s, want %d", counts[class], class, n)
				}
			}
			for class := range counts {
				if want[class] == 0 && how != "goroutines" {
					t.Errorf("also %d %s", counts[class], class)
				}
			}
		})
	}
}

// What a program does not do is told, and is no verdict.
func TestCrewShowsNothing(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for how, want := range map[string]string{
		"exit":     "ended by itself, with an error (exit status 3), and it has to run until it is told to end (SIGTERM); its last words: cannot read my configuration",
		"idle":     "fetched no record of " + Prefix,
		"silent":   "and reported none",
		"bypass":   "came past it",
		"pieces":   "begin as reports and are none",
		"stranger": "about records that are not in " + Prefix,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cfg := consumer(t, how)
			cfg.Brokers, cfg.Limit = cluster.ListenAddrs(), 5*time.Second
			cfg.Subject.Command = append([]string{"env", directEnv + "=" + strings.Join(cluster.ListenAddrs(), ",")}, cfg.Subject.Command...)
			res := prove(t, cfg)
			if res.Verdict.Verdict != judge.Inconclusive || len(res.Verdict.Findings) > 0 || !strings.Contains(strings.Join(res.Verdict.Reasons, "\n"), want) {
				t.Errorf("%s, %q; want %q; %v", res.Verdict.Verdict, res.Verdict.Reasons, want, res.Subject.Report.Counts)
			}
		})
	}
}

// Who may repeat a record, and beside whom, is judged by what the group asked and who
// is dead.
func TestJournal(t *testing.T) {
	const topic = "t"
	say := func(member, did string, offset, reads int64) func(*journal) {
		return func(j *journal) { j.takes(report{Member: member, Did: did}, "k", place{0, offset}, reads) }
	}
	dies := func(member string) func(*journal) { return func(j *journal) { j.dies(member) } }
	for name, c := range map[string]struct {
		lines []func(*journal)
		want  history.Class
	}{
		"in order":                    {[]func(*journal){say("a", saysStart, 0, 1), say("a", saysDone, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 2, 1)}, ""},
		"later first":                 {[]func(*journal){say("a", saysDone, 1, 1), say("a", saysDone, 0, 1), say("a", saysDone, 2, 1)}, history.Order},
		"repeated":                    {[]func(*journal){say("a", saysDone, 0, 1), say("a", saysDone, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 2, 1)}, history.Duplicate},
		"repeated after a rebalance":  {[]func(*journal){say("a", saysDone, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 0, 2), say("a", saysDone, 1, 2), say("a", saysDone, 2, 2)}, ""},
		"repeated by the next owner":  {[]func(*journal){say("a", saysDone, 0, 1), say("b", saysDone, 0, 2), say("b", saysDone, 1, 2), say("a", saysDone, 1, 3), say("a", saysDone, 2, 3)}, ""},
		"tried again":                 {[]func(*journal){say("a", saysStart, 0, 1), say("a", saysStart, 0, 1), say("a", saysFailed, 0, 1), say("a", saysStart, 0, 1), say("a", saysDone, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 2, 1)}, ""},
		"failed and passed":           {[]func(*journal){say("a", saysStart, 0, 1), say("a", saysFailed, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 0, 1), say("a", saysDone, 2, 1)}, history.Order},
		"skipped and passed":          {[]func(*journal){say("a", saysStart, 0, 1), say("a", saysSkipped, 0, 1), say("a", saysDone, 1, 1), say("a", saysDone, 2, 1)}, ""},
		"two owners":                  {[]func(*journal){say("a", saysStart, 0, 1), say("b", saysStart, 0, 2), say("a", saysDone, 0, 2), say("b", saysDone, 0, 2), say("b", saysDone, 1, 2), say("b", saysDone, 2, 2)}, history.Overlap},
		"the former owner was killed": {[]func(*journal){say("a", saysStart, 0, 1), dies("a"), say("b", saysStart, 0, 2), say("b", saysDone, 0, 2), say("b", saysDone, 1, 2), say("b", saysDone, 2, 2)}, ""},
		"one is missing":              {[]func(*journal){say("a", saysDone, 0, 1), say("a", saysDone, 1, 1)}, history.Loss},
	} {
		var events []history.Event
		for o := range int64(3) {
			events = append(events, history.Event{Kind: history.Log, Topic: topic, Offset: o, Key: history.StringKey("k"), Number: o + 1})
		}
		j := newJournal(topic, func(e history.Event) { events = append(events, e) })
		for _, line := range c.lines {
			line(j)
		}
		got := history.Check(events, history.Options{Complete: true, NoTokens: true}).Counts
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || got[c.want] == 0) {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

// A line is a report, or is none of ours, or is broken.
func TestParseReport(t *testing.T) {
	known := func(name string) bool { return name == "a" }
	for line, want := range map[string]string{
		"a done key-3 17":                             "ours a done key-3 17",
		"  a start key-3 17\r\n":                      "ours a start key-3 17",
		`{"member":"a","key":"k","number":4}`:         "ours a done k 4",
		`{"member":"a","partition":1,"offset":0}`:     "ours a done 1/0",
		"b done key-3 17":                             "-",
		"":                                            "-",
		"ready":                                       "-",
		`{"level":"info"}`:                            "-",
		`{"member":"x","key":"k","number":4}`:         "-",
		`{"broken`:                                    "-",
		"a done key-3":                                "broken",
		"a done key-3 0":                              "broken",
		"a done key-3 x":                              "broken",
		"a did key-3 1":                               "broken",
		"a done key-3 1a done key-4 1":                "broken",
		`{"member":"a","did":"eaten","key":"k"}`:      "broken",
		`{"member":"a"}`:                              "broken",
		`{"member":"a","key":"k"}`:                    "broken",
		`{"member":"a","number":4,`:                   "broken",
		`{"member":"a","partition":1,"offset":"two"}`: "broken",
	} {
		r, ours, broken := parseReport(line, known)
		got := "-"
		switch {
		case broken:
			got = "broken"
		case ours && r.Key != nil:
			got = fmt.Sprintf("ours %s %s %s %d", r.Member, r.Did, *r.Key, r.Number)
		case ours:
			got = fmt.Sprintf("ours %s %s %d/%d", r.Member, r.Did, *r.Partition, *r.Offset)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// Programs write what they like.
func FuzzParseReport(f *testing.F) {
	f.Add("a done key-3 17")
	f.Add(`{"member":"a","did":"start","partition":1,"offset":0}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, ours, broken := parseReport(line, func(name string) bool { return name == "a" })
		if ours && !broken && (r.Member != "a" || !sayings[r.Did] || (r.Key == nil) != (r.Partition != nil && r.Offset != nil)) {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
