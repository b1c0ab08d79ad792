package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

const poisonEnv = "ORDERLY_POISON_BROKERS"

// poisoned is a consumer whose process ends with the record "poison", in the middle of
// its transaction.
func poisoned() {
	db, err := Open(os.Getenv("ORDERLY_POISON_FILE"))
	if err == nil {
		var c *orderly.Consumer
		c, err = orderly.NewConsumer(orderly.ConsumerConfig{Brokers: strings.Split(os.Getenv(poisonEnv), ","), Group: "g", Topics: []string{"orders"}, Lanes: 4,
			SessionTimeout: time.Second, RebalanceTimeout: 2 * time.Second, HeartbeatInterval: 100 * time.Millisecond, CommitInterval: 20 * time.Millisecond,
			OnExhausted: orderly.PolicySkip, Retry: orderly.Retry{MaxAttempts: 2, Backoff: time.Millisecond},
			Effects: Apply(db, func(ctx context.Context, tx *sql.Tx, m *orderly.Message) error {
				err := note(ctx, tx, m)
				if string(m.Value) == "poison" {
					os.Exit(3)
				}
				return err
			})})
		if err == nil {
			err = c.Run(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// A record that ends its process is found, and passed by the policy: all others had
// their effects once, it had none.
func TestRecordThatEndsTheProcess(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().Exec(`CREATE TABLE effect (place INTEGER PRIMARY KEY, n INTEGER NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	const records, poison = 60, 30
	for i := range records {
		value := "v"
		if i == poison {
			value = "poison"
		}
		b.Produce("orders", orderlytest.Msg(fmt.Sprint("k", i%7), value))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	finished := func() bool {
		have, err := counts(t.Context(), db.SQL())
		return err == nil && len(have) == records-1
	}
	deaths := 0
	for ; !finished(); deaths++ {
		if deaths > 10 {
			t.Fatalf("it has ended %d processes", deaths)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, exe)
		cmd.Env = append(os.Environ(), poisonEnv+"="+strings.Join(b.Addrs(), ","), "ORDERLY_POISON_FILE="+file)
		var log bytes.Buffer
		cmd.Stderr = &log
		ended := make(chan error, 1)
		go func() { ended <- cmd.Run() }()
		b.Eventually("the end of the process, or of the records", func() bool { return len(ended) > 0 || finished() })
		cancel()
		if err := <-ended; err != nil && cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("%v\n%s", err, log.String())
		}
	}
	have, err := counts(t.Context(), db.SQL())
	if err != nil || have[poison] != 0 {
		t.Errorf("the record that ends processes had an effect (%v)", err)
	}
	for place, n := range have {
		if n != 1 {
			t.Errorf("offset %d had its effect %d times", place, n)
		}
	}
	var offset int64
	var why string
	if err := db.SQL().QueryRow(`SELECT off, why FROM orderly_audit`).Scan(&offset, &why); err != nil || offset != poison || !strings.Contains(why, "process ended") {
		t.Errorf("passed: offset %d, %q, %v", offset, why, err)
	}
	if deaths < 4 {
		t.Errorf("%d processes: it is passed after two unclean ends and two attempts alone at the earliest", deaths)
	}
}
