package orderly_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A record that kills its process is found: after two deaths the records that were read
// before run one at a time, and only the one that ran alone at a death counts an attempt.
// Used up, the policy decides, and no neighbour was blamed.
func TestRowRecordKillsTheProcess(t *testing.T) {
	t.Parallel()
	const attempts = 3
	b := engine(t)
	topic := newTopic(t, b, 1)
	var recs []orderlytest.Record
	for i := range 60 {
		key := []string{"a", "b", "c", "poison"}[i%4]
		recs = append(recs, orderlytest.Msg(key, fmt.Sprint(i/4)))
	}
	b.Produce(topic, recs...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]int{} // by key, the next value; what is repeated may go back
	deaths := 0
	for run := 1; ; run++ {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashEnv+"="+strings.Join(b.Addrs(), ","), "ORDERLY_CRASH_TOPIC="+topic, fmt.Sprintf("ORDERLY_CRASH_ATTEMPTS=%d", attempts))
		var out, logs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &logs
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("run %d ended with %v\n%s", run, err, logs.String())
		}
		last := map[string]int{}
		for sc := bufio.NewScanner(&out); sc.Scan(); {
			var key string
			var value, attempt, tries int
			switch n, _ := fmt.Sscanf(sc.Text(), "done %s %d attempt %d", &key, &value, &attempt); {
			case n == 3:
				if at, seen := last[key]; seen && value != at+1 || !seen && value > done[key] {
					t.Errorf("run %d: %s, behind %d in this run and %d in earlier ones", run, sc.Text(), at, done[key])
				}
				if attempt != 1 {
					t.Errorf("run %d: a neighbour is blamed: %s", run, sc.Text())
				}
				last[key] = value
				done[key] = max(done[key], value+1)
			case strings.HasPrefix(sc.Text(), "try "):
				if _, err := fmt.Sscanf(sc.Text(), "try %d", &tries); err != nil || tries != max(1, run-2) {
					t.Errorf("run %d: %q, want try %d", run, sc.Text(), max(1, run-2))
				}
			case strings.HasPrefix(sc.Text(), "stopped "):
				if sc.Text() != fmt.Sprintf("stopped at %d of poison", 43) {
					t.Errorf("run %d: %s", run, sc.Text())
				}
			}
		}
		if exit.ExitCode() == 3 {
			break
		}
		if exit.ExitCode() != 137 {
			t.Fatalf("run %d ended with %v\n%s\n%s", run, err, out.String(), logs.String())
		}
		if deaths++; deaths > attempts+2 {
			t.Fatalf("%d deaths, and the record is not found; the last log:\n%s", deaths, logs.String())
		}
	}
	if deaths != attempts+2 {
		t.Errorf("%d deaths, want %d", deaths, attempts+2)
	}
	if done["poison"] != 10 {
		t.Errorf("%d records of the poisoned key are done, want those before the one that kills", done["poison"])
	}
}

const crashEnv = "ORDERLY_CRASH_BROKERS"

// crashProcess is one run of TestRowRecordKillsTheProcess.
func crashProcess() {
	var attempts int
	_, _ = fmt.Sscan(os.Getenv("ORDERLY_CRASH_ATTEMPTS"), &attempts)
	topic := os.Getenv("ORDERLY_CRASH_TOPIC")
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: strings.Split(os.Getenv(crashEnv), ","), Topics: []string{topic}, Group: topic,
		SessionTimeout: time.Second, RebalanceTimeout: 2 * time.Second, HeartbeatInterval: 50 * time.Millisecond,
		CommitInterval: time.Minute, // a commit between two deaths would be progress, and they count at one watermark
		OnExhausted:    orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: attempts, Backoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond},
		Handler: func(_ context.Context, m *orderly.Message) error {
			if string(m.Key) == "poison" && string(m.Value) == "10" {
				fmt.Println("try", m.Attempt)
				os.Exit(137) // nothing is left to be said, as with a kill
			}
			fmt.Println("done", string(m.Key), string(m.Value), "attempt", m.Attempt)
			return nil
		},
	})
	if err == nil {
		err = c.Run(context.Background())
	}
	var stop *orderly.StopError
	if errors.As(err, &stop) && errors.Is(stop.Err, orderly.ErrProcessEnded) {
		fmt.Printf("stopped at %d of %s\n", stop.Offset, stop.Key)
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, "Run has returned:", err)
	os.Exit(4)
}
