package prometheus

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/orderly-go/orderly"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groupMetrics are the metrics of one consumer.
type groupMetrics struct {
	*Metrics
	group string
}

// begin makes the series that are known beforehand.
func (g *groupMetrics) begin(topics []string) {
	each := func(name string, values []string, labels ...string) {
		for _, v := range values {
			g.counters[name].WithLabelValues(append(labels, v)...)
		}
	}
	each(breakerOpened, openedHow, g.group)
	g.counters[attemptsBack].WithLabelValues(g.group)
	each(orderViolations, violationKinds, g.group)
	each(rebalances, causes, g.group)
	each(warnings, append(warningCodes, other), g.group)
	g.histograms[drainDuration].WithLabelValues(g.group)
	g.histograms[commitDuration].WithLabelValues(g.group)
	g.gauges[lastCommit].WithLabelValues(g.group)
	for _, t := range topics {
		each(recordsDone, outcomes, g.group, t)
		each(attemptsFailed, classes, g.group, t)
		each(recordsDropped, dropReasons, g.group, t)
		each(deadLetters, givenUpReasons, g.group, t)
		each(recordsSkipped, givenUpReasons, g.group, t)
		each(recordsParked, parkedReasons, g.group, t)
		each(holes, passingPolicies, g.group, t)
		each(sequenceFindings, findings, g.group, t)
		each(writeFailures, writeThen, g.group, t)
		each(parkingFailures, writeThen, g.group, t)
		each(partitionsAssigned, assignedHow, g.group, t)
		each(partitionsRevoked, drains, g.group, t)
		each(commits, commitOutcomes, g.group, t)
		for _, name := range []string{recordsRetried, recordsReleased, recordsRedelivered, handlersStuck, partitionsLost} {
			g.counters[name].WithLabelValues(g.group, t)
		}
		for _, o := range callOutcomes {
			g.histograms[handlerDuration].WithLabelValues(g.group, t, o)
		}
		g.histograms[recordAge].WithLabelValues(g.group, t)
	}
}

// other stands for a label's value that the table does not know: of a later
// release, say. The number of series stays bounded.
const other = "other"

func (g *groupMetrics) count(name string, n float64, labels ...string) {
	g.counters[name].WithLabelValues(append([]string{g.group}, labels...)...).Add(n)
}

func known(values []string, v string) string {
	if slices.Contains(values, v) {
		return v
	}
	return other
}

// chain calls ours, then the user's.
func chain[E any](ours, users func(E)) func(E) {
	if users == nil {
		return ours
	}
	return func(e E) {
		ours(e)
		users(e)
	}
}

func (g *groupMetrics) events(u orderly.Events) orderly.Events {
	e := u
	e.Settled = chain(g.settled(), u.Settled)
	e.Attempt = chain(func(e orderly.AttemptEvent) { g.count(attemptsFailed, 1, e.Message.Topic, class(e)) }, u.Attempt)
	e.Dropped = chain(func(e orderly.DroppedEvent) {
		g.count(recordsDropped, float64(e.Records), e.Topic, known(dropReasons, e.Reason))
		if e.Reason == "late" {
			g.count(recordsRedelivered, float64(e.Records), e.Topic)
		}
	}, u.Dropped)
	g.givenUp(&e, u)
	e.Breaker = chain(g.breaker(), u.Breaker)
	e.Stuck = chain(func(e orderly.StuckEvent) { g.count(handlersStuck, 1, e.Topic) }, u.Stuck)
	e.OrderViolation = chain(func(e orderly.OrderViolationEvent) { g.count(orderViolations, 1, known(violationKinds, e.Kind)) }, u.OrderViolation)
	e.Rebalanced = chain(func(e orderly.RebalancedEvent) { g.count(rebalances, 1, known(causes, e.Cause)) }, u.Rebalanced)
	e.Assigned = chain(func(e orderly.AssignedEvent) {
		how := "new"
		if e.Regranted {
			how = "regranted"
		}
		g.count(partitionsAssigned, 1, e.Topic, how)
	}, u.Assigned)
	e.Revoked = chain(func(e orderly.RevokedEvent) {
		drain := "clean"
		if !e.Clean {
			drain = "late"
		}
		g.count(partitionsRevoked, 1, e.Topic, drain)
		g.count(recordsRedelivered, float64(e.Again), e.Topic)
		g.histograms[drainDuration].WithLabelValues(g.group).Observe(e.Drain.Seconds())
		g.left(e.Topic, e.Partition)
	}, u.Revoked)
	e.Lost = chain(func(e orderly.LostEvent) {
		g.count(partitionsLost, 1, e.Topic)
		g.count(recordsRedelivered, float64(e.Again)+float64(e.Running), e.Topic)
		g.left(e.Topic, e.Partition)
	}, u.Lost)
	e.Committed = chain(g.committed, u.Committed)
	e.Warning = chain(func(e orderly.WarningEvent) { g.count(warnings, 1, known(warningCodes, e.Code)) }, u.Warning)
	return e
}

// givenUp adds what becomes of records that were given up.
func (g *groupMetrics) givenUp(e *orderly.Events, u orderly.Events) {
	count := func(name, outcome string, policy orderly.Policy, topic, reason string) {
		g.count(name, 1, topic, known(givenUpReasons, reason))
		g.count(holes, 1, topic, string(policy))
		g.count(recordsDone, 1, topic, outcome)
	}
	e.Parked = chain(func(e orderly.ParkedEvent) {
		reason := e.Reason
		if reason == "" {
			reason = "follows"
		}
		g.count(recordsParked, 1, e.Topic, known(parkedReasons, reason))
	}, u.Parked)
	e.Released = chain(func(e orderly.ReleasedEvent) { g.count(recordsReleased, 1, e.Topic) }, u.Released)
	e.DeadLettered = chain(func(e orderly.DeadLetteredEvent) {
		count(deadLetters, deadLettered, orderly.PolicyDeadLetter, e.Topic, e.Reason)
	}, u.DeadLettered)
	e.Skipped = chain(func(e orderly.SkippedEvent) {
		count(recordsSkipped, skipped, orderly.PolicySkip, e.Topic, e.Reason)
	}, u.Skipped)
	e.Sequence = chain(func(e orderly.SequenceEvent) {
		g.count(sequenceFindings, 1, e.Topic, known(findings, e.Finding))
		if e.Finding == orderly.SequenceDuplicate {
			g.count(recordsDone, 1, e.Topic, duplicate)
		}
	}, u.Sequence)
	e.WriteFailed = chain(func(e orderly.WriteFailedEvent) {
		then := "again"
		if e.GaveUp {
			then = "gave-up"
		}
		name := writeFailures
		if e.ParkingTopic != "" {
			name = parkingFailures
		}
		g.count(name, 1, e.Topic, then)
	}, u.WriteFailed)
}

// breaker counts openings. The events come one after the other.
func (g *groupMetrics) breaker() func(orderly.BreakerEvent) {
	last := orderly.BreakerClosed
	return func(e orderly.BreakerEvent) {
		if e.State == orderly.BreakerOpen && last != orderly.BreakerOpen {
			how := "new"
			if last == orderly.BreakerHalfOpen {
				how = "again"
			}
			g.count(breakerOpened, 1, how)
		}
		last = e.State
		g.count(attemptsBack, float64(e.GivenBack))
	}
}

// settled keeps the counters that records pass through at hand.
func (g *groupMetrics) settled() func(orderly.SettledEvent) {
	type pair struct{ done, retried prom.Counter }
	byTopic := newCache(func(topic string) pair {
		return pair{g.counters[recordsDone].WithLabelValues(g.group, topic, "ok"), g.counters[recordsRetried].WithLabelValues(g.group, topic)}
	})
	return func(e orderly.SettledEvent) {
		c := byTopic.get(e.Topic)
		c.done.Add(float64(e.Records))
		if e.Retried > 0 {
			c.retried.Add(float64(e.Retried))
		}
	}
}

func class(e orderly.AttemptEvent) string {
	var decode *orderly.DecodeError
	switch {
	case e.Panic:
		return "panic"
	case errors.As(e.Err, &decode):
		return "undecodable"
	case e.Class == orderly.ClassPermanent:
		return "permanent"
	case e.Class == orderly.ClassUnavailable:
		return "unavailable"
	case errors.Is(e.Err, orderly.ErrAttemptTimeout), errors.Is(e.Err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error"
}

func (g *groupMetrics) committed(e orderly.CommittedEvent) {
	outcome := "ok"
	switch {
	case e.Unknown:
		outcome = "unknown"
	case errors.Is(e.Err, kerr.IllegalGeneration), errors.Is(e.Err, kerr.UnknownMemberID), errors.Is(e.Err, kerr.StaleMemberEpoch),
		errors.Is(e.Err, kerr.FencedInstanceID), errors.Is(e.Err, kerr.FencedMemberEpoch):
		outcome = "fenced"
	case e.Err != nil:
		outcome = "failed"
	}
	g.count(commits, 1, e.Topic, outcome)
	if !e.Unknown {
		g.histograms[commitDuration].WithLabelValues(g.group).Observe(e.Latency.Seconds())
	}
	if outcome == "ok" {
		g.gauges[lastCommit].WithLabelValues(g.group).SetToCurrentTime()
		g.gauges[notRecorded].WithLabelValues(g.group, e.Topic, strconv.Itoa(int(e.Partition))).Set(float64(e.NotRecorded))
	}
}

func (g *groupMetrics) left(topic string, partition int32) {
	g.gauges[notRecorded].DeleteLabelValues(g.group, topic, strconv.Itoa(int(partition)))
}

// call are the histograms of one topic's handler calls.
type call struct {
	ok, failed, age prom.Observer
	sample          *sampler
}

func (g *groupMetrics) calls() *cache[call] {
	return newCache(func(topic string) call {
		return call{
			sample: newSampler(),
			ok:     g.histograms[handlerDuration].WithLabelValues(g.group, topic, "ok"),
			failed: g.histograms[handlerDuration].WithLabelValues(g.group, topic, "error"),
			age:    g.histograms[recordAge].WithLabelValues(g.group, topic),
		}
	})
}

func (g *groupMetrics) handler(h orderly.Handler) orderly.Handler {
	calls := g.calls()
	return func(ctx context.Context, m *orderly.Message) error {
		c := calls.get(m.Topic)
		if !c.sample.due(m.Offset) {
			return h(ctx, m)
		}
		return c.time(ctx, h, m)
	}
}

// effects is handler for one that has a transaction: of the transaction only the
// handler's part is timed.
func (g *groupMetrics) effects(h func(ctx context.Context, tx any, m *orderly.Message) error) func(context.Context, any, *orderly.Message) error {
	calls := g.calls()
	return func(ctx context.Context, tx any, m *orderly.Message) error {
		c := calls.get(m.Topic)
		if !c.sample.due(m.Offset) {
			return h(ctx, tx, m)
		}
		return c.time(ctx, func(ctx context.Context, m *orderly.Message) error { return h(ctx, tx, m) }, m)
	}
}

// started is what samplers count from.
var started = time.Now()

// agesOf: of a batch, the age of one record in so many is looked at.
const agesOf = 16

// time calls the handler and times it.
func (c *call) time(ctx context.Context, h orderly.Handler, m *orderly.Message) error {
	began := time.Now()
	panicked := true
	defer func() {
		if panicked {
			c.failed.Observe(time.Since(began).Seconds())
		}
	}()
	err := h(ctx, m)
	panicked = false
	now := time.Now()
	c.sample.timed(now.Sub(started).Nanoseconds())
	if err != nil {
		c.failed.Observe(now.Sub(began).Seconds())
		return err
	}
	c.ok.Observe(now.Sub(began).Seconds())
	c.age.Observe(max(0, now.Sub(m.Timestamp).Seconds()))
	return nil
}

func (g *groupMetrics) batch(h orderly.BatchHandler) orderly.BatchHandler {
	calls := g.calls()
	return func(ctx context.Context, ms []*orderly.Message) (done int, err error) {
		c := calls.get(ms[0].Topic)
		began := time.Now()
		panicked := true
		defer func() {
			if panicked {
				c.failed.Observe(time.Since(began).Seconds())
			}
		}()
		done, err = h(ctx, ms)
		panicked = false
		now := time.Now()
		if err != nil {
			c.failed.Observe(now.Sub(began).Seconds())
		} else {
			c.ok.Observe(now.Sub(began).Seconds())
		}
		for i := 0; i < min(done, len(ms)); i += agesOf {
			c.age.Observe(max(0, now.Sub(ms[i].Timestamp).Seconds()))
		}
		return done, err
	}
}
