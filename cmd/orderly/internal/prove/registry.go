package prove

import "sync"

// All programs that run, for KillAll.
var running = struct {
	sync.Mutex
	programs map[*command]struct{}
}{programs: map[*command]struct{}{}}

func enlist(p *command) (delist func()) {
	running.Lock()
	defer running.Unlock()
	running.programs[p] = struct{}{}
	return func() {
		running.Lock()
		defer running.Unlock()
		delete(running.programs, p)
	}
}

// KillAll ends all programs at once: this process is about to leave without
// waiting for them.
func KillAll() {
	running.Lock()
	defer running.Unlock()
	for p := range running.programs {
		killGroup(p.cmd)
	}
}
