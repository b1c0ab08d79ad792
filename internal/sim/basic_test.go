//go:build synctests

package sim

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly"
)

func TestWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldConfig{brokers: 2, partitions: 3})
		defer w.close()
		w.fill(300, 10, true)
		w.start("a", memberConfig{})
		w.start("b", memberConfig{max: 5})
		w.fill(300, 10, true)
		w.caughtUp(time.Minute)
		w.verdict(orderly.ScopeKey, true)
	})
}
