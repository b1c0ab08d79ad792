//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
)

// Keys that fail always are all that there is to try when the breaker is open. Records
// of other keys come: those are read, and close it.
func TestBreakerIsNotHeldOpenByBadKeys(t *testing.T) {
	scene(t, 1, func(t *testing.T, w *world) {
		s := newScript()
		c := short()
		c.act = s.act
		c.Breaker.ProbeInterval, c.Breaker.MaxInterval = time.Second, 5*time.Second
		var bad []keyed
		for i := range 6 {
			key := fmt.Sprint("bad", i)
			s.set(key, func(context.Context, *orderly.Message) error { return errors.New("bad") })
			bad = append(bad, keys(key)...)
		}
		m := w.start("m", c)
		w.produce(bad)
		w.until("the breaker is open", time.Minute, func() bool { return m.c.State().Breaker.State == orderly.BreakerOpen })
		time.Sleep(10 * time.Second) // all of them were tried
		w.produce(many(100))
		w.until("the breaker is closed, and other keys are done", 5*time.Minute, func() bool {
			st := m.c.State()
			return st.Breaker.State == orderly.BreakerClosed && len(st.Partitions) == 1 && st.Partitions[0].Done == 100
		})
		for i := range 6 {
			s.set(fmt.Sprint("bad", i), nil)
		}
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
