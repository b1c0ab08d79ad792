package orderly

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// about writes a line about an attempt of a record.
func (r reporter) about(level slog.Level, msg string, m *Message, args ...any) {
	r.record(level, msg, m, append([]any{"attempt", m.Attempt, "token", m.FencingToken}, args...)...)
}

func (r reporter) warn(code, message string) {
	r.log(slog.LevelWarn, message, "code", code)
	if f := r.cfg.Events.Warning; f != nil {
		f(WarningEvent{Code: code, Message: message})
	}
}

// attempt reports a failed attempt; news says that it is the first of its kind for
// the record.
func (r reporter) attempt(m *Message, err error, class Class, panicked, news bool) {
	level, msg := slog.LevelDebug, "a record failed again"
	switch {
	case panicked:
		level, msg = slog.LevelError, "a record failed: its handler panicked"
	case class == ClassUnavailable && news:
		level, msg = slog.LevelWarn, "a record cannot be processed now: a dependency is unavailable; its key waits, and no attempt is spent"
	case class != ClassUnavailable && m.Attempt == 1:
		level, msg = slog.LevelWarn, "a record failed; its key waits for the next attempt"
		if class == ClassPermanent {
			msg = "a record failed for good"
		}
	}
	r.about(level, msg, m, "error", err)
	if f := r.cfg.Events.Attempt; f != nil {
		f(AttemptEvent{Message: m, Err: err, Class: class, Panic: panicked})
	}
}

func (r reporter) blocked(m *Message, attempts int, next time.Duration, state string) {
	if f := r.cfg.Events.Blocked; f != nil {
		f(BlockedEvent{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Offset: m.Offset, Attempts: attempts, Next: next, State: state})
	}
}

// staysBlocked reports a record that stays blocked although it was given up.
func (r reporter) staysBlocked(m *Message, state string, err error, attempts int) {
	msg := "a record used up its attempts; its key stays blocked and is tried at the maximum backoff"
	switch state {
	case statePermanent:
		msg = "a record failed for good; its key stays blocked and is tried at the maximum backoff"
	case stateFailed, stateTooLarge:
		msg = "a record's dead letter cannot be written; its key stays blocked and is tried at the maximum backoff"
	}
	r.about(slog.LevelError, msg, m, "attempts", attempts, "state", state, "error", err)
}

func (r reporter) skipped(m *Message, g *givenUp) {
	r.about(slog.LevelError, "a record was skipped by policy: a hole in the order of its key", m, "reason", g.reason, "error", g.err)
	if f := r.cfg.Events.Skipped; f != nil {
		f(SkippedEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, FencingToken: m.FencingToken,
			Attempts: g.attempts, Reason: g.reason, Err: g.err})
	}
}

func (r reporter) deadLettered(m *Message, g *givenUp, at place) {
	r.about(slog.LevelError, "a record was dead-lettered: a hole in the order of its key", m, "reason", g.reason,
		"dead_letter_topic", at.topic, "dead_letter_partition", at.partition, "dead_letter_offset", at.offset, "error", g.err)
	if f := r.cfg.Events.DeadLettered; f != nil {
		f(DeadLetteredEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, FencingToken: m.FencingToken,
			Attempts: g.attempts, Reason: g.reason, Err: g.err,
			DeadLetterTopic: at.topic, DeadLetterPartition: at.partition, DeadLetterOffset: at.offset})
	}
}

// writeFailed reports a dead letter that could not be written; news says that it is
// the first time for its record.
func (r reporter) writeFailed(m *Message, e WriteFailedEvent, news bool) {
	level, msg := slog.LevelDebug, "a dead letter could not be written; its key waits, and it is written again"
	if news {
		level = slog.LevelWarn
	}
	r.about(level, msg, m, "dead_letter_topic", e.DeadLetterTopic, "writes", e.Writes, "error", e.Err)
	if f := r.cfg.Events.WriteFailed; f != nil {
		f(e)
	}
}

// lateLetter reports the outcome of a write whose partition has left meanwhile: the
// next owner decides about the record anew.
func (r reporter) lateLetter(source place, err error) {
	r.log(slog.LevelDebug, "a dead letter's write ended after its partition had left", "topic", source.topic, "partition", source.partition,
		"offset", source.offset, "error", err)
	if f := r.cfg.Events.Dropped; f != nil {
		f(DroppedEvent{Topic: source.topic, Partition: source.partition, Records: 1, Reason: "late-dead-letter"})
	}
}

// passingPolicy says once that records of a key may pass one that was given up.
func (r reporter) passingPolicy() {
	if p := r.cfg.OnExhausted; p.passes() {
		r.warn("order-breaking-policy", fmt.Sprintf("group %s: OnExhausted is %q: later records of a key pass one that was given up; each such hole is logged and counted", r.cfg.Group, p))
	}
}

// classifyProblem warns of a Classify that panics or answers nonsense, once a
// minute.
func (r reporter) classifyProblem(m *Message, problem error) {
	if n, ok := r.problems.now(); ok {
		r.warn("classify", fmt.Sprintf("%v (topic %s partition %d offset %d; %d times since the last warning)", problem, m.Topic, m.Partition, m.Offset, n))
	}
}

// seldom lets one of many reports through each minute.
type seldom struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// now says whether to report, and how many there were since the last report.
func (s *seldom) now() (count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if !s.last.IsZero() && time.Since(s.last) < time.Minute {
		return 0, false
	}
	count, s.count, s.last = s.count, 0, time.Now()
	return count, true
}
