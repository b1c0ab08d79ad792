package consume

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// asWorker makes the test program a worker; its value is a file in which it
// writes when it begins and ends with each record.
const asWorker = "ORDERLY_TEST_CONSUME_WORKER"

// asWorkerNeeds is the address of what the worker's records "needs" need.
const asWorkerNeeds = "ORDERLY_TEST_CONSUME_WORKER_NEEDS"

func reachable(address string) bool {
	resp, err := http.Get(address)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestMain(m *testing.M) {
	if path := os.Getenv(asWorker); path != "" {
		work(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func work(path string) {
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			panic(err)
		}
		fmt.Fprintf(log, "begin %s %d %d\n", r.Key, r.Partition, r.Offset)
		fmt.Fprintf(log, "end %s %d %d\n", r.Key, r.Partition, r.Offset)
		switch {
		case r.Value == "needs" && os.Getenv(asWorkerNeeds) != "" && !reachable(os.Getenv(asWorkerNeeds)):
			fmt.Println(`{"unavailable":"it is down"}`)
		case r.Value == "poison":
			fmt.Println(`{"error":"it is poisoned"}`)
		case r.Value == "once" && r.Attempt == 1:
			os.Exit(1)
		default:
			fmt.Println(`{"ok":true}`)
		}
	}
}

// record is a line of the output.
type record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string
	Value     string
	Attempt   int
	Token     int64 `json:"fencing_token"`
}

// lines is standard output.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	got func(n int)
	n   int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if l.got != nil {
		l.got(l.n)
	}
	return l.buf.Write(p)
}

func (l *lines) records(t *testing.T) []record {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []record
	for line := range strings.Lines(l.buf.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

const topic = "orders"

func options(t *testing.T, b *orderlytest.Broker, out *lines) Options {
	t.Helper()
	return Options{
		Cluster: clusterOf(t, b), Topic: topic, Group: "g", UntilEnd: true, SessionTimeout: 6 * time.Second,
		OnExhausted: orderly.PolicyStop, Retry: orderly.Retry{MaxAttempts: 3, Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond},
		Out: out, Err: t.Output(), Start: orderly.StartEarliest(),
	}
}

func clusterOf(t *testing.T, b *orderlytest.Broker) *connect.Cluster {
	t.Helper()
	return &connect.Cluster{Brokers: b.Addrs()}
}

// write writes records: key, value, key, value ...
func write(t *testing.T, b *orderlytest.Broker, kvs ...string) {
	t.Helper()
	var rs []*kgo.Record
	for i := 0; i < len(kvs); i += 2 {
		rs = append(rs, &kgo.Record{Topic: topic, Partition: -1, Key: []byte(kvs[i]), Value: []byte(kvs[i+1])})
	}
	if err := b.Client().ProduceSync(limit(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), orderlytest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// committed is how much the group has done, over all partitions.
func committed(t *testing.T, b *orderlytest.Broker, group string) (sum int64) {
	t.Helper()
	offsets, err := b.Admin().FetchOffsets(limit(t), group)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offsets[topic] {
		sum += o.At
	}
	return sum
}
