package pipe

import "sync"

// All workers that run, for KillAll.
var running = struct {
	sync.Mutex
	workers map[*worker]struct{}
}{workers: map[*worker]struct{}{}}

func enlist(w *worker) {
	running.Lock()
	defer running.Unlock()
	running.workers[w] = struct{}{}
}

func delist(w *worker) {
	running.Lock()
	defer running.Unlock()
	delete(running.workers, w)
}

// KillAll ends all workers at once: this process is about to leave without
// closing its pools.
func KillAll() {
	running.Lock()
	defer running.Unlock()
	for w := range running.workers {
		w.kill()
	}
}
