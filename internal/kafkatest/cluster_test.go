package kafkatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childEnv makes TestMain the process that starts a node and is then killed.
const childEnv = "KAFKATEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		cluster, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(cluster.Addrs()[0], cluster.dir)
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

func TestOneNode(t *testing.T) {
	if !Require(t, Latest) {
		return
	}
	// The first addresses are taken by the time that the node binds them.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	attempts := 0
	cluster, err := Start(t.Context(), Options{Dir: t.TempDir(), free: func(n int) ([]string, error) {
		addrs, err := freeAddrs(n)
		if attempts++; attempts == 1 && err == nil {
			addrs[0] = taken.Addr().String()
		}
		return addrs, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	if attempts != 2 {
		t.Errorf("%d attempts to start, want 2: the first lost its port", attempts)
	}

	topic := Name(t, "orders")
	client := newClient(t, cluster, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	produce(t, client, topic, "first")
	consume(t, client, "first")

	if err := cluster.Kill(1); err != nil {
		t.Fatal(err)
	}
	if _, err := liveBrokers(t.Context(), cluster.Addrs()[0]); err == nil {
		t.Error("a killed node answers")
	}
	if err := cluster.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	produce(t, client, topic, "after kill")
	consume(t, client, "after kill")

	if err := cluster.Pause(1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	// It accepts the connection, which the kernel does, and says nothing.
	if _, err := liveBrokers(ctx, cluster.Addrs()[0]); err == nil {
		t.Error("a paused node answers")
	}
	if err := cluster.Resume(1); err != nil {
		t.Fatal(err)
	}
	produce(t, client, topic, "after pause")
	consume(t, client, "after pause")

	if err := cluster.Stop(t.Context(), 1); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(filepath.Join(cluster.dir, "node-1", "output.log"))
	if err != nil || !strings.Contains(string(log), "shut down completed") {
		t.Errorf("the log of a node that was stopped does not say so (%v)", err)
	}
}

func newClient(t *testing.T, cluster *Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.Addrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(t *testing.T, client *kgo.Client, topic, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatalf("producing %q: %v", value, err)
	}
}

// consume wants exactly this record next.
func consume(t *testing.T, client *kgo.Client, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("waiting for %q: %v", value, fetches.Err())
		}
		if records := fetches.Records(); len(records) == 1 && string(records[0].Value) == value {
			return
		} else if len(records) > 0 {
			t.Fatalf("got %d records, the first %q: want %q alone", len(records), records[0].Value, value)
		}
	}
}

// A test process that is killed has no say: the kernel ends its nodes.
func TestNodeDiesWithItsProcess(t *testing.T) {
	if runtime.GOOS != "linux" || !Require(t, Latest) {
		return
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
	if killErr := child.Process.Kill(); err != nil || killErr != nil || !ok {
		t.Fatalf("the child said %q (%v, %v)", line, err, killErr)
	}
	defer os.RemoveAll(dir)
	_ = child.Wait() // killed, as it should be

	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("its node still listens on %s", addr)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	if cluster, err := Start(t.Context(), Options{Nodes: 2}); err == nil {
		t.Error("2 nodes: no error", cluster.Close())
	}
	if cluster, err := Start(t.Context(), Options{Version: "../4"}); err == nil {
		t.Error("a version that is a path: no error", cluster.Close())
	}
}

// What a node said is in the error, or nobody would know why it did not start.
func TestStartThatFails(t *testing.T) {
	if !Require(t, Latest) {
		return
	}
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{Dir: dir, Properties: map[string]string{"num.io.threads": "none"}})
	if err == nil || !strings.Contains(err.Error(), "num.io.threads") {
		t.Errorf("the error does not tell what is wrong: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := Start(ctx, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("the error does not tell that it was given up: %v", err)
	}
}
