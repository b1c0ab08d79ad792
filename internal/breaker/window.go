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
	in     map[Key]began
	first  [slices]int // how many of these, by the slice in which they began
	again  [slices]int // how many of these have failed again
	sample uint        // only keys of one in 1<<sample are in
}

type began struct {
	at    int64 // the slice
	again bool
}

func (n *news) add(k Key, at int64) {
	if n.in == nil {
		n.in = make(map[Key]began)
	}
	if len(n.in) == 0 {
		n.sample = 0
	}
	if !n.sampled(k) {
		return
	}
	n.remove(k)
	n.in[k] = began{at: at}
	n.first[at%slices]++
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

// repeat notes that a key that is in has failed again.
func (n *news) repeat(k Key) {
	if b, ok := n.in[k]; ok && !b.again {
		b.again = true
		n.in[k] = b
		n.again[b.at%slices]++
	}
}

func (n *news) remove(k Key) {
	if b, ok := n.in[k]; ok {
		n.first[b.at%slices]--
		if b.again {
			n.again[b.at%slices]--
		}
		delete(n.in, k)
	}
}

// forget drops those that began before the slice.
func (n *news) forget(before int64) {
	for k, b := range n.in {
		if b.at < before {
			n.remove(k)
		}
	}
}

// counts returns how many of those that are counted by slice began in the present one,
// in the last two, and so on.
func (n *news) counts(by *[slices]int, now int64) (counts [slices]int) {
	sum := 0
	for age := range slices {
		if now >= age {
			sum += by[(now-age)%slices]
		}
		counts[age] = sum << n.sample
	}
	return counts
}
