package orderly

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A StuckLoopError says which of the consumer's loops do not go on.
type StuckLoopError struct{ Loops []LoopState }

// Error names them, with the time and what holds them most likely.
func (e *StuckLoopError) Error() string {
	var names []string
	for _, l := range e.Loops {
		names = append(names, fmt.Sprintf("%s (for %s, limit %s)", l.Name, l.Busy.Round(time.Second), l.Limit))
	}
	return "orderly: loops that are stuck: " + strings.Join(names, ", ") +
		"; a function of Events or OrderBy.Key that does not return, or a fault of orderly: restart the process"
}

// Alive says whether the consumer's own loops go on: nil, or a StuckLoopError. It
// says nothing about brokers, handlers or sinks: a restart would not mend those.
// Before and after Run there is nothing to be stuck. It takes no lock that a loop
// could hold.
func (c *Consumer) Alive() error {
	var stuck []LoopState
	for _, l := range c.loops() {
		if l.Busy > l.Limit {
			stuck = append(stuck, l)
		}
	}
	if len(stuck) > 0 {
		return &StuckLoopError{Loops: stuck}
	}
	return nil
}

func (c *Consumer) loops() (loops []LoopState) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	for _, l := range s.Loops() {
		loops = append(loops, LoopState(l))
	}
	return loops
}

// Ready says whether the consumer takes part in its group: nil, or why not. A
// member without a partition is ready.
func (c *Consumer) Ready() error {
	c.mu.Lock()
	s, over := c.session, c.over
	c.mu.Unlock()
	switch {
	case over:
		return errors.New("orderly: Run has returned, or its context has ended")
	case s == nil:
		return errors.New("orderly: Run was not called yet")
	case s.Member() == "":
		return fmt.Errorf("orderly: the group %s was not joined yet", c.cfg.Group)
	}
	return nil
}
