package lane

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// BenchmarkPool is the cost of the machinery alone: an empty handler, one
// partition, records enqueued in polls of 5,000.
func BenchmarkPool(b *testing.B) {
	for _, keys := range []int{1, 1000, 1 << 30} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			var done atomic.Int64
			pl := NewPool(Config{Concurrency: 64, Apply: func(r *Run) (int, error) {
				done.Add(int64(len(r.Items)))
				return len(r.Items), nil
			}})
			p := pl.Add(PartitionConfig{ID: "t/0"}, 1)
			b.ReportAllocs()
			ptrs := make([]*Item, 5000)
			var key [8]byte
			for n := 0; n < b.N; {
				slab := make([]Item, len(ptrs))
				for i := range slab {
					binary.LittleEndian.PutUint64(key[:], uint64((n+i)%keys))
					slab[i].Hash = Hash(key[:])
					slab[i].Offset = int64(n + i)
					ptrs[i] = &slab[i]
				}
				p.Enqueue(ptrs)
				n += len(ptrs)
				for pl.Records() > 100_000 {
					runtime.Gosched()
				}
			}
			<-p.WaitIdle()
			pl.Close(nil)
		})
	}
}
