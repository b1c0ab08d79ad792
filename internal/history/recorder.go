package history

import "sync"

// RecorderConfig says what becomes of the events that a Recorder gets.
type RecorderConfig struct {
	Keep    bool         // keep all events, for Events and Save
	Checker *Checker     // feed this checker, which belongs to the Recorder from then on
	Now     func() int64 // time in ns for events without one; nil: they get none
}

// Recorder numbers events. It is safe for concurrent use; the order in which
// Add is entered is the order of the history.
type Recorder struct {
	mu     sync.Mutex
	cfg    RecorderConfig
	n      int64
	events []Event
}

// NewRecorder gives an empty Recorder.
func NewRecorder(cfg RecorderConfig) *Recorder { return &Recorder{cfg: cfg} }

// Add records the event and gives its number. It sets N, and At when the
// Recorder has a clock and the event no time. An event that cannot stand in a
// history is recorded too, so that the checker reports it.
func (r *Recorder) Add(e Event) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	e.N = r.n
	if e.At == 0 && r.cfg.Now != nil {
		e.At = r.cfg.Now()
	}
	if r.cfg.Keep {
		r.events = append(r.events, e)
	}
	if r.cfg.Checker != nil {
		r.cfg.Checker.Add(e)
	}
	return e.N
}

// Events gives a copy of what was kept.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Violations is the number of violations found up to now by the Recorder's
// checker; 0 without one. A simulation asks it to stop early.
func (r *Recorder) Violations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Checker == nil {
		return 0
	}
	return r.cfg.Checker.Violations()
}

// Report gives the report of the Recorder's checker as of now. Without a
// checker it checks the kept events with the zero Options.
func (r *Recorder) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.Checker == nil {
		return Check(r.events, Options{})
	}
	return r.cfg.Checker.Finish()
}

// Save writes what was kept to a history file.
func (r *Recorder) Save(path string) error { return Save(path, r.Events()) }
