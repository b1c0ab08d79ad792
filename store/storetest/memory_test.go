package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestConformanceOfMemory(t *testing.T) {
	Run(t, func(t *testing.T) Target {
		m := NewMemory()
		var mu sync.Mutex
		counts := map[int64]int{}
		return Target{
			Backend: m,
			Effect: func(_ context.Context, tx any, place int64) error {
				tx.(*MemoryTx).Do(func() {
					mu.Lock()
					defer mu.Unlock()
					counts[place]++
				})
				return nil
			},
			Effects: func(context.Context) (map[int64]int, error) {
				mu.Lock()
				defer mu.Unlock()
				out := map[int64]int{}
				for k, v := range counts {
					out[k] = v
				}
				return out, nil
			},
			// There is nothing that a handler could end.
			End:      func(any) error { return errors.ErrUnsupported },
			EndBySQL: nil,
		}
	})
}
