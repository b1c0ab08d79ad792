package breaker

import "time"

// alarms is what is remembered of openings. Where most records fail at first and
// succeed when they are tried again, all keys that were healthy fail together each time
// that it closes, and it would open again and again. Two false alarms in a row, and for
// a while it opens only by keys that have failed twice; their attempts are given back
// all the same.
type alarms struct {
	culprit Key           // the key that said Unavailable last, while it was not closed
	blamed  bool          // there is one
	real    bool          // since it opened something has shown that the dependency is down
	soon    bool          // it opened not long after it had closed
	wary    time.Duration // until then keys that failed once do not open it
}

// waryFor is how long false alarms are remembered.
const waryFor = time.Hour

// falseAlarm is called when it closes.
func (m *Machine) falseAlarm(now time.Duration) {
	if m.soon && !m.real && m.cfg.Retry <= Window/3 {
		m.wary = now + waryFor
	}
}
