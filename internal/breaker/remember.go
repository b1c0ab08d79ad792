package breaker

import (
	"sync/atomic"
	"time"
)

const (
	// rememberFor is how long a key counts as one that fails after it has failed last:
	// of one whose records are given up nothing else may ever be heard.
	rememberFor = 10 * time.Minute
	sweepEvery  = time.Minute
	hintWords   = 1024
)

// remembered are keys that failed and have not succeeded since.
type remembered struct {
	in    map[Key]time.Duration // when each failed last
	swept time.Duration
	gone  int                      // keys that were driven out since the hints were set anew
	hints [hintWords]atomic.Uint64 // a set bit: a key with that hash may be in; read from any goroutine
}

func (r *remembered) hinted(k Key) bool { return r.hints[k>>6%hintWords].Load()&(1<<(k&63)) != 0 }

func (r *remembered) has(k Key) bool {
	_, in := r.in[k]
	return in
}

func (r *remembered) add(k Key, now time.Duration) {
	r.sweep(now)
	if len(r.in) >= keysCap {
		for other := range r.in { // any: maps are walked in random order
			delete(r.in, other)
			break
		}
		if r.gone++; r.gone >= keysCap {
			r.mark()
		}
	}
	r.in[k] = now
	r.hints[k>>6%hintWords].Or(1 << (k & 63))
}

func (r *remembered) remove(k Key, now time.Duration) {
	r.sweep(now)
	if _, in := r.in[k]; !in {
		return
	}
	if delete(r.in, k); len(r.in) == 0 {
		r.mark()
	}
}

// sweep forgets old keys, and hints of keys that are gone: each of these costs all
// other keys with its hash a lock for each success.
func (r *remembered) sweep(now time.Duration) {
	if now-r.swept < sweepEvery {
		return
	}
	r.swept = now
	for k, at := range r.in {
		if now-at > rememberFor {
			delete(r.in, k)
		}
	}
	r.mark()
}

// mark sets the hints anew. Of a key that is in the bit stays set throughout.
func (r *remembered) mark() {
	r.gone = 0
	var words [hintWords]uint64
	for k := range r.in {
		words[k>>6%hintWords] |= 1 << (k & 63)
	}
	for i, w := range words {
		if r.hints[i].Load() != w {
			r.hints[i].Store(w)
		}
	}
}
