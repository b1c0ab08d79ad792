package history

import (
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
)

func TestRecorderNumbersConcurrentEvents(t *testing.T) {
	c := NewChecker(complete)
	now := int64(0)
	r := NewRecorder(RecorderConfig{Keep: true, Checker: c, Now: func() int64 { now++; return now }})
	const keys, each = 8, 50
	for o := range int64(keys * each) {
		r.Add(logged(o, fmt.Sprint(o%keys)))
	}
	r.Add(own("A", 1))
	var wg sync.WaitGroup
	for key := range int64(keys) {
		wg.Go(func() {
			for i := range int64(each) {
				for _, e := range handled("A", 1, i*keys+key, fmt.Sprint(key)) {
					r.Add(e)
				}
				r.Violations()
			}
		})
	}
	wg.Wait()
	rep := r.Report()
	requireClasses(t, rep)
	requireCount(t, "handled", rep.Handled, keys*each)
	requireCount(t, "sequences", rep.CheckedSequences, keys)
	events := r.Events()
	for i, e := range events {
		if e.N != int64(i+1) || e.At != e.N {
			t.Fatalf("event %d has number %d, time %d", i+1, e.N, e.At)
		}
	}
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(Check(back, complete), rep) {
		t.Error("the saved history gives another report")
	}
}

func TestRecorderFindsViolationsAsTheyHappen(t *testing.T) {
	r := NewRecorder(RecorderConfig{Checker: NewChecker(Options{})})
	for _, e := range list(two(), handled("A", 1, 0, "a")) {
		r.Add(e)
	}
	requireCount(t, "violations", r.Violations(), 0)
	n := r.Add(start("A", 1, 0, "a", 2))
	requireCount(t, "violations", r.Violations(), 1)
	if v := r.Report().Violations[0]; v.Class != Duplicate || v.Events[len(v.Events)-1] != n {
		t.Errorf("found %v, want a duplicate by event %d", v, n)
	}
	requireCount(t, "kept events", len(r.Events()), 0)
}

func TestRecorderWithoutChecker(t *testing.T) {
	r := NewRecorder(RecorderConfig{Keep: true})
	for _, e := range list(two(), rest("A", 1, 0)) {
		r.Add(e)
	}
	requireClasses(t, r.Report())
	requireCount(t, "violations", r.Violations(), 0)
}
