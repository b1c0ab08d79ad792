package orderly_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A producer's process is killed while it writes: what was acknowledged is there,
// and of each key the log has the first records, in order, each once.
func TestProducerKilledWhileItWrites(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		after := 1 + rand.IntN(20_000)
		t.Run(fmt.Sprintf("after-%d", after), func(t *testing.T) {
			c := prodSite(t, 3)
			cmd := exec.CommandContext(within30(t), exe)
			cmd.Env = append(os.Environ(), killedEnv+"="+strings.Join(c.Addrs(), ","), "ORDERLY_KILLED_TOPIC="+c.topic)
			cmd.Stderr = t.Output()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			acked := map[string]int{} // by key: how many
			all := 0
			for lines := bufio.NewScanner(out); lines.Scan(); all++ {
				key, n, ok := strings.Cut(lines.Text(), " ")
				if !ok || n != strconv.Itoa(acked[key]) {
					t.Errorf("key %s: acknowledged %q behind %d others", key, n, acked[key])
				}
				acked[key]++
				if all == after {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); err == nil || all < after {
				t.Fatalf("it ended by itself after %d records: %v", all, err)
			}
			keys := byKey(t, readLog(t, c, c.topic))
			ascending(t, keys)
			for k, n := range acked {
				if len(keys[k]) < n {
					t.Errorf("key %s: %d records in the log, %d were acknowledged", k, len(keys[k]), n)
				}
			}
		})
	}
}

const killedEnv = "ORDERLY_KILLED_BROKERS"

// killedProcess is the process of TestProducerKilledWhileItWrites: it writes until
// it is killed, and says what was acknowledged at once.
func killedProcess() {
	topic := os.Getenv("ORDERLY_KILLED_TOPIC")
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: strings.Split(os.Getenv(killedEnv), ","), MaxBatchBytes: 4096})
	for i := 0; err == nil; i++ {
		for _, key := range names("k", 30) {
			rec := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(strconv.Itoa(i))}
			p.Produce(context.Background(), rec, func(_ *kgo.Record, err error) {
				if err == nil {
					_, err = os.Stdout.WriteString(key + " " + strconv.Itoa(i) + "\n") // one call: lines do not mix
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(4)
				}
			})
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}
