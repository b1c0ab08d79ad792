package parking

import (
	"testing"
	"time"
)

// Times of releases outlive processes and are read on other machines, so they are of the
// wall clock. One that is set forward makes releases early, and one that is set back
// makes them late by as much, until a failed release or an operator gives the key a time
// of the new clock. The order in a key is of no clock.
func TestStepsOfTheWallClockMoveOnlyReleases(t *testing.T) {
	const (
		noon = int64(1_800_000_000_000)
		day  = int64(24 * time.Hour / time.Millisecond)
	)
	b := newBench(t, nil)
	at := func(last int64, releases int) *Failure {
		return &Failure{Cause: "no", Attempts: 10, Last: last, Releases: releases}
	}
	soon := b.rules.First.Milliseconds()
	b.do(b.o.Tick(noon))
	b.arrive("a", 1, at(noon, 0))
	b.arrive("a", 2, nil)
	b.arrive("b", 3, at(noon, 0))
	b.want("settle 1", "settle 2", "settle 3")

	b.do(b.o.Tick(noon - day)) // set back by a day
	b.do(b.o.Tick(noon - day + soon))
	b.want()
	b.put(&Entry{Kind: KindCommand, Key: []byte("a"), Offset: 1, Command: &CommandBody{ID: "r", Verb: Retry, When: noon}})
	b.want("run 1")
	b.ended("a", 1, at(noon-day, 1))
	b.do(b.o.Tick(noon - day + 2*soon - 1))
	b.want()
	b.do(b.o.Tick(noon - day + 2*soon)) // a has a time of the new clock by now
	b.want("run 1")
	b.do(b.o.Tick(noon + 10*day)) // set forward, while the key's handler runs
	b.want("run 3")
	b.do(b.o.Tick(noon - 10*day)) // and back
	b.want()
	b.ended("a", 1, nil)
	b.want("run 2")
	b.ended("b", 3, nil)
	b.ended("a", 2, nil)
	b.want()
	if keys, records, _, _ := b.o.State().Counts(); keys != 0 || records != 0 {
		t.Errorf("%d keys and %d records are left", keys, records)
	}
}
