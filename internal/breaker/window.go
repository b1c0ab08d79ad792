package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Window is how far back outcomes count.
	Window = 30 * time.Second
	slice  = 5 * time.Second
	slices = int64(Window/slice) + 1 // the newest one is not full yet
)

// A window counts the keys that were tried in each slice of the last half minute.
type window struct {
	now     atomic.Int64 // number of the present slice, from the epoch
	turning sync.Mutex
	tried   [slices]sketch
}

// try counts a key. It may be called from any goroutine.
func (w *window) try(k Key) { w.tried[w.now.Load()%slices].add(k) }

// turn goes on to the slice of the time. It costs one load when that has not changed.
// A key that another goroutine counts meanwhile may land in the slice before, which
// is harmless.
func (w *window) turn(now time.Duration) {
	to := int64(now / slice)
	if to <= w.now.Load() || !w.turning.TryLock() {
		return
	}
	defer w.turning.Unlock()
	for at := w.now.Load(); at < to; at = w.now.Load() {
		next := max(at+1, to-slices+1)
		w.tried[next%slices].clear()
		w.now.Store(next)
	}
}

func (w *window) clear() {
	for i := range w.tried {
		w.tried[i].clear()
	}
}

// keysCap bounds the keys that are remembered one by one.
const keysCap = 8192

// news are the keys that began to fail lately: not before, and not again without a
// success in between.
type news struct {
	in     map[Key]int64 // the slice in which it began
	began  [slices]int   // how many of these, by slice
	sample uint          // only keys of one in 1<<sample are in
}

func (n *news) add(k Key, at int64) {
	if n.in == nil {
		n.in = make(map[Key]int64)
	}
	if len(n.in) == 0 {
		n.sample = 0
	}
	if !n.sampled(k) {
		return
	}
	n.remove(k)
	n.in[k] = at
	n.began[at%slices]++
	for len(n.in) > keysCap {
		n.sample++
		for k := range n.in {
			if !n.sampled(k) {
				n.remove(k)
			}
		}
	}
}

// sampled keys are told by their lowest bits; a sketch looks at the highest.
func (n *news) sampled(k Key) bool { return uint64(k)&(1<<n.sample-1) == 0 }

func (n *news) remove(k Key) {
	if at, ok := n.in[k]; ok {
		n.began[at%slices]--
		delete(n.in, k)
	}
}

// forget drops those that began before the slice.
func (n *news) forget(before int64) {
	for k, at := range n.in {
		if at < before {
			n.remove(k)
		}
	}
}

// counts returns how many began in the present slice, in the last two, and so on.
func (n *news) counts(now int64) (counts [slices]int) {
	sum := 0
	for age := range slices {
		if now >= age {
			sum += n.began[(now-age)%slices]
		}
		counts[age] = sum << n.sample
	}
	return counts
}
