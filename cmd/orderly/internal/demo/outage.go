package demo

import (
	"context"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/orderly-go/orderly"
)

// The outage: for some seconds the sink answers every record as a server does that is
// down, with an error like any other. The breakers have to notice it, stop, give the
// attempts back, and go on step by step.

const (
	outageLasts  = 2 * time.Second // once the breakers are open
	outageProbes = 3               // of each process, at the least, meanwhile
	probeEvery   = 300 * time.Millisecond
	// A breaker opens when at least five keys that were healthy fail together, and
	// these are half of all that were tried.
	outageKeys = 20 // of each partition, at the least
)

// errDown is how the sink answers: nothing tells it from any other error.
var errDown = &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}, Err: syscall.ECONNREFUSED}

// An Outage is what the outage of the sink came to.
type Outage struct {
	Skipped   string  `json:"skipped,omitempty"` // why there was none
	Seconds   float64 `json:"seconds"`           // for which the sink was down
	Opened    int     `json:"breakers_opened"`
	Processes int     `json:"processes"` // whose breakers had to open
	Failed    int     `json:"attempts_failed"`
	GivenBack int     `json:"attempts_given_back"`
	Burnt     int     `json:"attempts_burnt"`      // still counted against their records, at the outage's end
	WhileOpen int     `json:"attempts_while_open"` // that began between opening and the outage's end; those on their way then are no more than Allowed
	Allowed   int     `json:"attempts_on_their_way"`
	Probes    int     `json:"probes"`
	InSteps   int     `json:"resumed_in_steps"` // records that were let through before everything ran
}

// happened says that there was one.
func (o *Outage) happened() bool { return o != nil && o.Skipped == "" }

// outage is what a ledger knows of it. Guarded by its mu.
type outage struct {
	calm   bool // no record is made to fail by the plan
	down   bool
	seen   Outage
	states map[string]string // of the processes' breakers
	spent  map[string]int    // attempts that their blocked keys have spent, as of the last probe
	probes map[string]int    // since their breaker opened
}

// take takes in what a process says of its breaker.
func (o *outage) take(member string, m message) {
	if m.Kind == probed {
		o.seen.Probes++
		if o.down {
			o.spent[member] = m.Spent
			o.probes[member]++
		}
		return
	}
	if m.Breaker == orderly.BreakerOpen && o.states[member] != orderly.BreakerOpen {
		o.seen.Opened++
	}
	o.states[member] = m.Breaker
	o.seen.GivenBack += m.GivenBack
}

// started counts an attempt that begins.
func (o *outage) started(member string) {
	switch o.states[member] {
	case orderly.BreakerOpen:
		if o.down {
			o.seen.WhileOpen++
		}
	case orderly.BreakerHalfOpen:
		o.seen.InSteps++
	}
}

// sink sets whether the sink is down, and whether the plan's own failures rest.
func (lg *ledger) sink(calm, down bool) {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	lg.outage.calm, lg.outage.down = calm, down
}

// Conditions for await.

// rested: no record is left that the plan has made to fail.
func (lg *ledger) rested() bool { return lg.trying == 0 }

// breakers: those of the processes are in the state.
func (lg *ledger) breakers(state string, names ...string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(names, func(name string) bool { return lg.outage.states[name] != state })
	}
}

// probed: the processes have asked often enough.
func (lg *ledger) probed(names ...string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(names, func(name string) bool { return lg.outage.probes[name] < outageProbes })
	}
}

// tooFewKeys says why there can be no outage: of too few keys a breaker learns
// nothing.
func (lg *ledger) tooFewKeys() string {
	lg.mu.Lock()
	defer lg.mu.Unlock()
	for i, p := range lg.parts {
		keys := map[string]bool{}
		for _, e := range p.entries[:p.written] {
			keys[e.change.Path] = true
		}
		if len(keys) < outageKeys {
			return fmt.Sprintf("partition %d has %d files, and each would have to have %d", i, len(keys), outageKeys)
		}
	}
	return ""
}

// outage takes the sink down and up again.
func (c *column) outage(ctx context.Context) error {
	if c.out.Skipped = c.ledger.tooFewKeys(); c.out.Skipped != "" {
		return nil
	}
	names := []string{first, second}
	c.out.Processes, c.out.Allowed = len(names), len(names)*concurrency(len(c.in.Changes))
	if err := c.await(ctx, "the first records to be done", c.ledger.doneAtLeast(len(c.in.Changes)/20)); err != nil {
		return err
	}
	c.ledger.sink(true, false)
	if err := c.await(ctx, "the records that fail by plan to be done", c.ledger.rested); err != nil {
		return err
	}
	began := time.Now()
	c.ledger.sink(true, true)
	c.phase("the sink is down: connection refused")
	if err := c.await(ctx, "the breakers to open", c.ledger.breakers(orderly.BreakerOpen, names...)); err != nil {
		return err
	}
	c.phase("the sink is down; the breakers are open: nothing is attempted")
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(outageLasts):
	}
	if err := c.await(ctx, "the breakers to ask whether the sink is up", c.ledger.probed(names...)); err != nil {
		return err
	}
	c.ledger.sink(true, false)
	c.out.Seconds = seconds(time.Since(began))
	c.phase("the sink is up again; a few keys run, then more")
	if err := c.await(ctx, "the breakers to close", c.ledger.breakers(orderly.BreakerClosed, names...)); err != nil {
		return err
	}
	c.ledger.sink(false, false)
	return nil
}

// outcome is what the result says of it. Called with the ledger locked.
func (lg *ledger) outcome(o Outage) *Outage {
	s := lg.outage.seen
	s.Skipped, s.Seconds, s.Processes, s.Allowed = o.Skipped, o.Seconds, o.Processes, o.Allowed
	for _, n := range lg.outage.spent {
		s.Burnt += n
	}
	return &s
}

// faults lists what is wrong with it.
func (o *Outage) faults() (fs []string) {
	if !o.happened() {
		return nil
	}
	if o.Opened < o.Processes {
		fs = append(fs, fmt.Sprintf("breakers that opened in the outage: %d of %d", o.Opened, o.Processes))
	}
	if o.Burnt > 0 {
		fs = append(fs, fmt.Sprintf("attempts burnt by the outage: %d", o.Burnt))
	}
	if o.WhileOpen > o.Allowed {
		fs = append(fs, fmt.Sprintf("attempts while the breakers were open: %d", o.WhileOpen))
	}
	if o.InSteps == 0 {
		fs = append(fs, "after the outage everything ran at once")
	}
	return fs
}

// text says it for people.
func (o *Outage) text() string {
	count := "none of them counts against its record"
	if o.Burnt > 0 {
		count = fmt.Sprintf("%s count against their records", thousands(o.Burnt))
	}
	return fmt.Sprintf(`  outage     for %.1f s the sink refused every record: %s attempts failed until the breakers of both processes opened,
             and %s. Then nothing was attempted; the sink was asked %s times
             whether it is up, and when it was, %s records ran in steps (1, 2, 4 ... at a time) before all ran
`, o.Seconds, thousands(o.Failed), count, thousands(o.Probes), thousands(o.InSteps))
}

// breaker tells the demo of a breaker's state.
func breaker(l *link) func(orderly.BreakerEvent) {
	return func(e orderly.BreakerEvent) {
		l.tell(message{Kind: broke, Breaker: e.State, GivenBack: e.GivenBack})
	}
}

// askSink is the probe: is the sink up? On the way it says how many attempts the
// blocked keys have spent.
func askSink(l *link, c *orderly.Consumer) error {
	spent := 0
	for _, p := range c.Blocked(1 << 20).Partitions {
		for _, k := range p.Oldest {
			spent += k.Attempts
		}
	}
	r, err := l.tell(message{Kind: probed, Spent: spent})
	if err == nil && r.Down {
		err = errDown
	}
	return err
}
