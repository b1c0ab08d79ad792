package takeover

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/orderlytest"
)

// A plain is a Java consumer in a process of its own. It does what comes of its
// polls only when the test has written it down: so the journal's order is real.
type plain struct {
	t    *testing.T
	name string
	j    *journal
	in   io.WriteCloser
	done chan struct{} // the process has ended
	err  error

	mu    sync.Mutex
	owned string // "0 2": assigned; "" before
	leave bool
}

func startPlain(t *testing.T, b *orderlytest.Broker, group, topic string, j *journal) *plain {
	t.Helper()
	cmd, err := kafkatest.JavaSource(t.Context(), kafkatest.Latest, "testdata/Plain.java", strings.Join(b.Addrs(), ","), group, topic)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	out, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = theirs
	p := &plain{t: t, name: fmt.Sprintf("java-%d", j.plains.Add(1)), j: j, done: make(chan struct{})}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() && p.heard(lines.Text()) {
		}
		_ = p.in.Close()
		_, _ = io.Copy(io.Discard, out) // what it says while it leaves is its own
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.ask()
		<-p.done
	})
	return p
}

// heard takes a line and answers it; false ends the consumer.
func (p *plain) heard(line string) bool {
	what, rest, _ := strings.Cut(line, " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	switch what {
	case "record":
		var h handled
		h.by = p.name
		if _, err := fmt.Sscan(rest, &h.partition, &h.offset, &h.key, &h.value); err != nil {
			p.t.Errorf("%s says %q: %v", p.name, line, err)
		}
		p.j.add(h)
	case "assigned":
		p.owned = strings.TrimSpace(rest)
	case "revoked":
		p.owned = ""
	case "idle":
		if p.leave { // everything is committed
			return false
		}
	default:
		p.t.Errorf("%s says %q", p.name, line)
	}
	_, err := fmt.Fprintln(p.in, "ok")
	return err == nil
}

// ask lets it leave when it has committed what it has handled.
func (p *plain) ask() {
	p.mu.Lock()
	p.leave = true
	p.mu.Unlock()
}

// stop ends it in order, and fails the test when it does not end well.
func (p *plain) stop() {
	p.t.Helper()
	p.ask()
	<-p.done
	if p.err != nil {
		p.t.Errorf("%s: %v", p.name, p.err)
	}
}

func (p *plain) parts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(strings.Fields(p.owned))
}
