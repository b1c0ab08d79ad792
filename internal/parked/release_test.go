package parked

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A release whose record could not be read is taken up again, under the next token at the
// latest.
func TestReleaseThatCannotBeRead(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rules.First, c.Rules.Max, c.Rules.Releases = time.Second, time.Second, 1 })
	b.prepare()
	p := b.own(5)
	it := item("a", 1)
	it.Body.Failure.Permanent, it.Body.Failure.Last = false, time.Now().UnixMilli()
	p.Arrive(it, waiter{b, "a1"})
	b.want("settled a1")
	b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: beside, Err: kerr.OffsetOutOfRange, Count: 1})
	doubts := 0
	for patience := time.After(30 * time.Second); ; {
		select {
		case n := <-b.news:
			if strings.HasPrefix(n, "doubt") {
				doubts++
				extra := p.Extra(nil)
				p.Granted(nil, int64(5+doubts), 0, true, extra, b.look(true, extra).What)
			}
			if n != "run 1" {
				continue
			}
			if doubts == 0 {
				t.Error("it was read at once: this shows nothing")
			}
			return
		case <-patience:
			t.Fatal("it is not handed over")
		}
	}
}
