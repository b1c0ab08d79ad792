package prometheus

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	prom "github.com/prometheus/client_golang/prometheus"
)

// collector reads the consumers' State when it is scraped.
type collector struct {
	descs map[string]*prom.Desc

	mu        sync.Mutex
	consumers []*orderly.Consumer
}

func newCollector() *collector { return &collector{descs: map[string]*prom.Desc{}} }

func (c *collector) describe(m Metric) {
	c.descs[m.Name] = prom.NewDesc(m.Name, m.Help, m.Labels, nil)
}

func (c *collector) add(consumer *orderly.Consumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consumers = append(c.consumers, consumer)
}

// Describe implements prom.Collector.
func (c *collector) Describe(ch chan<- *prom.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prom.Collector.
func (c *collector) Collect(ch chan<- prom.Metric) {
	c.mu.Lock()
	consumers := slices.Clone(c.consumers)
	c.mu.Unlock()
	for _, consumer := range consumers {
		c.collect(consumer.State(), ch)
	}
}

func (c *collector) collect(st orderly.State, ch chan<- prom.Metric) {
	set := func(name string, v float64, labels ...string) {
		kind := prom.GaugeValue
		if slices.Contains(counted, name) {
			kind = prom.CounterValue
		}
		ch <- prom.MustNewConstMetric(c.descs[name], kind, v, append([]string{st.Group}, labels...)...)
	}
	set(joined, flag(st.Member != ""))
	set(generation, float64(st.Generation))
	set(silent, flag(st.Silent))
	set(bufferRecords, float64(st.Records))
	set(bufferBytes, float64(st.Bytes))
	set(bufferLimit, float64(st.Limits.Records))
	set(bufferMaxBytes, float64(st.Limits.Bytes))
	set(handlersLimit, float64(st.Limits.Concurrency))
	set(windowLimit, float64(st.Limits.Window))
	for _, l := range st.Loops {
		set(loopTurns, float64(l.Turns), l.Name)
		set(loopTurn, l.Busy.Seconds(), l.Name)
		set(loopLimit, l.Limit.Seconds(), l.Name)
	}
	if b := st.Breaker; b.State != "" {
		for _, s := range breakerStates {
			set(breakerState, flag(b.State == s), s)
		}
		set(breakerNext, unix(b.NextProbe))
		set(breakerShare, float64(b.Share))
		set(breakerFailing, float64(b.FailingKeys))
	}
	for topic, n := range keysBlockedBy(st) {
		for _, s := range append(keyStates[:len(keyStates):len(keyStates)], other) {
			set(blockedByState, float64(n[s]), topic, s)
		}
	}
	for _, p := range st.Partitions {
		partition := func(name string, v float64, more ...string) {
			set(name, v, append([]string{p.Topic, strconv.Itoa(int(p.Partition))}, more...)...)
		}
		for _, s := range states {
			partition(state, flag(slices.Contains(p.Reasons, s)), s)
		}
		partition(received, float64(p.Done)+float64(p.Waiting))
		partition(window, float64(p.Window))
		partition(running, float64(p.Running))
		partition(keysActive, float64(p.Keys))
		partition(keysBlocked, float64(p.Blocked))
		partition(behind, float64(p.Behind))
		partition(doneAhead, float64(p.DoneAhead))
		partition(oldestUndone, unix(p.OldestUndone))
		oldest := time.Time{}
		if len(p.Oldest) > 0 {
			oldest = p.Oldest[0].Since
		}
		partition(oldestBlock, unix(oldest))
		if p.FencingToken == 0 {
			continue // not granted: the offset is not known
		}
		partition(numberedKeys, float64(p.Sequence.Keys))
		partition(numbersGone, float64(p.Sequence.Forgotten))
		partition(parkedKeys, float64(p.Parking.Keys))
		partition(parkedNow, float64(p.Parking.Records))
		partition(parkedBytes, float64(p.Parking.Bytes))
		partition(oldestParked, unix(p.Parking.Oldest))
		partition(parkingVoid, float64(p.Parking.Void))
		partition(pauses, float64(len(p.Parking.Pauses)))
		partition(committedAt, float64(p.Committed))
		if p.LogRead.IsZero() {
			continue
		}
		// What is not known has no series: 0 would say that all is well.
		partition(undone, float64(p.Undone))
		partition(commitLag, float64(p.Lag()))
		partition(logStart, float64(p.LogStart))
		partition(logEnd, float64(p.LogEnd))
		partition(headroom, float64(p.Committed-p.LogStart))
	}
}

// keysBlockedBy counts blocked keys by topic and state.
func keysBlockedBy(st orderly.State) map[string]map[string]int {
	all := map[string]map[string]int{}
	for _, p := range st.Partitions {
		n := all[p.Topic]
		if n == nil {
			n = map[string]int{}
			all[p.Topic] = n
		}
		for s, keys := range p.BlockedStates {
			n[known(keyStates, s)] += keys
		}
	}
	return all
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
