//go:build linux || darwin

package localbroker

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A signal ends the broker cleanly: exit code 0, and the next start has nothing
// to check.
func TestSignalEndsCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := t.TempDir()
		b := startChild(t, nil, "--data", dir, "--listen", "127.0.0.1:0", "--topic", "orders:2")
		f := feed(t, b.addr, "orders")
		f.await(t, 1000)
		if err := b.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := b.wait(); err != nil {
			t.Fatalf("%v: %v\n%s", sig, err, b.said())
		}
		b = startChild(t, nil, "--data", dir, "--listen", b.addr)
		f.await(t, 1000)
		f.stop()
		<-f.done
		if err := f.cl.Flush(withPatience(t)); err != nil {
			t.Fatal(err)
		}
		if v := judge(t, readTopic(t, b.addr, "orders"), f.acked); v.duplicates != 0 || v.stepsBack != 0 || v.lost != 0 {
			t.Errorf("%v: %s", sig, v)
		}
		if said := b.awaitSaid("data in"); strings.Contains(said, "not ended cleanly") {
			t.Errorf("%v: not taken for a clean end:\n%s", sig, said)
		}
	}
}

// When the disk takes no more, records are refused by name, what was acknowledged
// is there after a restart, and nothing else is.
func TestFullDisk(t *testing.T) {
	const topic, limit = "orders", 300_000
	dir := t.TempDir()
	b := startChild(t, []string{fmt.Sprint(limitEnv, "=", limit)}, "--data", dir, "--listen", "127.0.0.1:0", "--topic", topic+":1")
	cl := newClient(t, kgo.SeedBrokers(b.addr), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(20<<10))
	acked := map[string]map[int]bool{"k": {}}
	refused := 0
	noise := make([]byte, 5000)
	for n := 0; refused < 20; n++ {
		_, _ = rand.Read(noise) // never fails
		r := &kgo.Record{Key: []byte("k"), Value: append(fmt.Appendf(nil, "%08d", n), noise...)}
		switch err := cl.ProduceSync(withPatience(t), r).FirstErr(); {
		case err == nil:
			acked["k"][n] = true
		case errors.Is(err, kerr.UnknownServerError):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if len(acked["k"]) < limit/2/len(noise) {
		t.Fatalf("only %d acknowledged before the disk was full", len(acked["k"]))
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := b.wait(); err == nil || !strings.Contains(b.said(), "make room on the disk") || !strings.Contains(b.said(), "not everything could be written") {
		t.Errorf("ended with %v and said\n%s", err, b.said())
	}

	open, said := mustOpen(t, dir)
	if !strings.Contains(said.String(), "not ended cleanly") {
		t.Errorf("a run whose writes failed counts as clean: %s", said)
	}
	log := readTopic(t, open.Addr(), topic)
	if v := judge(t, log, acked); v.duplicates != 0 || v.stepsBack != 0 || v.lost != 0 || v.records != len(acked["k"]) {
		t.Errorf("%s; %d acknowledged", v, len(acked["k"]))
	}
	for _, r := range log {
		if len(r.Value) != 8+len(noise) || bytes.Count(r.Value, []byte{0}) > 1000 {
			t.Errorf("offset %d is not what was sent", r.Offset)
		}
	}
	again := newClient(t, kgo.SeedBrokers(open.Addr()), kgo.DefaultProduceTopic(topic))
	if err := again.ProduceSync(withPatience(t), &kgo.Record{Value: noise}).FirstErr(); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
