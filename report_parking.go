package orderly

import "log/slog"

// parked reports a record that is parked; g is nil for one that follows another.
func (r reporter) parked(m *Message, g *givenUp, before bool) {
	e := ParkedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, FencingToken: m.FencingToken, Before: before}
	if g != nil && !before {
		e.Attempts, e.Reason, e.Err = g.attempts, g.reason, g.err
		r.about(slog.LevelError, "a record was parked; the later ones of its key follow it until the key is released", m, "reason", g.reason, "error", g.err)
	}
	if f := r.cfg.Events.Parked; f != nil {
		f(e)
	}
}

// parkingFailed reports a record that could not be parked; news says that it is the first
// time for it.
func (r reporter) parkingFailed(m *Message, e WriteFailedEvent, news bool) {
	level := slog.LevelDebug
	if news {
		level = slog.LevelWarn
	}
	r.about(level, "a record could not be parked; its key waits, and it is written again", m, "parking_topic", e.ParkingTopic, "writes", e.Writes, "error", e.Err)
	if f := r.cfg.Events.WriteFailed; f != nil {
		f(e)
	}
}

// released reports a parked record that is done.
func (r reporter) released(m *Message) {
	r.about(slog.LevelInfo, "a parked record is done", m)
	if f := r.cfg.Events.Released; f != nil {
		f(ReleasedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, FencingToken: m.FencingToken, Attempt: m.Attempt})
	}
}
