package prometheus

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	prom "github.com/prometheus/client_golang/prometheus"
)

// sources are the parsed files of a folder of the library, tests left out.
func sources(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("there is no source in %s", dir)
	}
	return files
}

func text(e ast.Expr) (string, bool) {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, err := strconv.Unquote(l.Value)
		return s, err == nil
	}
	return "", false
}

// each calls f with every node of a folder's sources.
func each(t *testing.T, dir string, f func(n ast.Node)) {
	t.Helper()
	for _, file := range sources(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				f(n)
			}
			return true
		})
	}
}

// arguments are the texts that calls of a function of this name have at a place.
func arguments(t *testing.T, dir, name string, at int) (found []string) {
	t.Helper()
	each(t, dir, func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) <= at {
			return
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != name {
			return
		}
		s, ok := text(call.Args[at])
		if !ok {
			t.Errorf("%s: a call of %s whose argument %d is no text: this test cannot see what it says", dir, name, at)
		}
		found = append(found, s)
	})
	return found
}

// constants are those of a folder whose name begins so; with a text as value.
func constants(t *testing.T, dir, prefix string) (found []string) {
	t.Helper()
	each(t, dir, func(n ast.Node) {
		d, ok := n.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return
		}
		for _, s := range d.Specs {
			v := s.(*ast.ValueSpec)
			for i, name := range v.Names {
				if !strings.HasPrefix(name.Name, prefix) || i >= len(v.Values) {
					continue
				}
				if s, ok := text(v.Values[i]); ok {
					found = append(found, s)
				}
			}
		}
	})
	return found
}

// texts are all of a package's variable.
func texts(t *testing.T, dir, variable string) (found []string) {
	t.Helper()
	each(t, dir, func(n ast.Node) {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != variable {
			return
		}
		ast.Inspect(v, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s, ok := text(e); ok {
					found = append(found, s)
				}
			}
			return true
		})
	})
	return found
}

// fields are the texts that a struct's field is given.
func fields(t *testing.T, dir, structure, field string) (found []string) {
	t.Helper()
	each(t, dir, func(n ast.Node) {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return
		}
		if name, ok := c.Type.(*ast.Ident); !ok || name.Name != structure {
			return
		}
		for _, e := range c.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.(*ast.Ident).Name == field {
				if s, ok := text(kv.Value); ok {
					found = append(found, s)
				}
			}
		}
	})
	return found
}

// Whatever the consumer can say with a fixed name has its value here, and nothing
// else has; and docs/operating.md explains what an operator meets.
func TestNoValueIsForgotten(t *testing.T) {
	const root, group, parked = ".", "internal/group", "internal/parked"
	doc, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		have      []string
		said      []string
		explained bool
	}{
		{"codes of warnings", warningCodes, slices.Concat(arguments(t, group, "Warning", 0), arguments(t, root, "warn", 0), arguments(t, parked, "once", 0)), true},
		{"reasons of a partition", states, append(texts(t, group, "reasonNames"), constants(t, parked, "State")...), true},
		{"states of a blocked key", keyStates, constants(t, root, "state"), true},
		{"findings of the sequence guard", findings, constants(t, root, "Sequence"), true},
		{"states of the breaker", breakerStates, constants(t, root, "Breaker"), true},
		{"reasons to give a record up", givenUpReasons, constants(t, root, "reason"), true},
		{"reasons to drop records", dropReasons, append(arguments(t, group, "Dropped", 3), fields(t, root, "DroppedEvent", "Reason")...), false},
		{"causes of a generation", causes, constants(t, group, "cause"), false},
		{"kinds of violations", violationKinds, constants(t, "internal/selfcheck", "Over"), false},
	} {
		slices.Sort(c.said)
		c.said = slices.Compact(c.said)
		if len(c.said) == 0 {
			t.Errorf("%s: none was found in the sources: this test does not look at the right place any more", c.what)
		}
		for _, s := range c.said {
			if !slices.Contains(c.have, s) {
				t.Errorf("%s: %q is not in the table", c.what, s)
			}
			if c.explained && !strings.Contains(string(doc), "`"+s+"`") {
				t.Errorf("%s: docs/operating.md does not explain %q", c.what, s)
			}
		}
		for _, s := range c.have {
			if !slices.Contains(c.said, s) {
				t.Errorf("%s: the table's %q is never said", c.what, s)
			}
		}
	}
}

// Every class of an error has a value.
func TestNoClassIsForgotten(t *testing.T) {
	all := map[string]orderly.Class{"ClassRetry": orderly.ClassRetry, "ClassPermanent": orderly.ClassPermanent, "ClassUnavailable": orderly.ClassUnavailable}
	each(t, ".", func(n ast.Node) {
		if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
			for _, s := range d.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					if _, ok := all[name.Name]; !ok && strings.HasPrefix(name.Name, "Class") {
						t.Errorf("%s has no value", name.Name)
					}
				}
			}
		}
	})
	seen := map[string]bool{}
	for name, c := range all {
		v := class(orderly.AttemptEvent{Class: c, Err: os.ErrNotExist})
		if !slices.Contains(classes, v) || seen[v] {
			t.Errorf("%s is counted as %q", name, v)
		}
		seen[v] = true
	}
}

// Every event is counted, or seen in State when it is scraped.
func TestNoEventIsForgotten(t *testing.T) {
	inState := []string{"Blocked", "Paused", "Resumed"}
	m, err := New(Options{Registerer: prom.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	e := reflect.ValueOf(m.Instrument(orderly.ConsumerConfig{Group: "g", Topics: []string{"t"}}).Events)
	for i := range e.NumField() {
		name := e.Type().Field(i).Name
		if e.Field(i).IsNil() != slices.Contains(inState, name) {
			t.Errorf("Events.%s: nothing counts it, or it was said to be in State", name)
		}
	}
}

// What becomes of failed records, and the breaker, are counted as they are told.
func TestFailuresAreCounted(t *testing.T) {
	reg := prom.NewRegistry()
	m, err := New(Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	e := m.Instrument(orderly.ConsumerConfig{Group: "g", Topics: []string{"t"}}).Events
	e.DeadLettered(orderly.DeadLetteredEvent{Topic: "t", Reason: "permanent"})
	e.DeadLettered(orderly.DeadLetteredEvent{Topic: "t", Reason: "exhausted"})
	e.Skipped(orderly.SkippedEvent{Topic: "t", Reason: "of a later release"})
	e.WriteFailed(orderly.WriteFailedEvent{Topic: "t"})
	e.WriteFailed(orderly.WriteFailedEvent{Topic: "t", GaveUp: true})
	e.Sequence(orderly.SequenceEvent{Topic: "t", Finding: orderly.SequenceGap})
	e.Sequence(orderly.SequenceEvent{Topic: "t", Finding: orderly.SequenceDuplicate})
	e.WriteFailed(orderly.WriteFailedEvent{Topic: "t", GaveUp: true, ParkingTopic: "p"})
	e.Skipped(orderly.SkippedEvent{Topic: "t", Reason: "operator"})
	e.Warning(orderly.WarningEvent{Code: "classify"})
	e.Dropped(orderly.DroppedEvent{Topic: "t", Records: 1, Reason: "late-dead-letter"})
	for _, s := range []string{orderly.BreakerOpen, orderly.BreakerOpen, orderly.BreakerHalfOpen, orderly.BreakerOpen, orderly.BreakerHalfOpen, orderly.BreakerClosed, orderly.BreakerOpen} {
		e.Breaker(orderly.BreakerEvent{BreakerState: orderly.BreakerState{State: s}, GivenBack: 2})
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, s := range f.Metric {
			last := s.Label[0].GetValue()
			for _, l := range s.Label {
				if n := l.GetName(); n != "group" && n != "topic" {
					last = l.GetValue()
				}
			}
			got[f.GetName()+" "+last] = s.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		deadLetters + " permanent": 1, deadLetters + " exhausted": 1, recordsSkipped + " other": 1, recordsSkipped + " permanent": 0,
		recordsSkipped + " operator": 1, parkingFailures + " gave-up": 1, parkingFailures + " again": 0,
		holes + " dead-letter": 2, holes + " skip": 2, recordsDone + " dead-lettered": 2, recordsDone + " skipped": 2, recordsDone + " ok": 0, recordsDone + " duplicate": 1,
		sequenceFindings + " gap": 1, sequenceFindings + " duplicate": 1, sequenceFindings + " zombie": 0,
		writeFailures + " again": 1, writeFailures + " gave-up": 1, warnings + " classify": 1, recordsDropped + " late-dead-letter": 1,
		breakerOpened + " new": 2, breakerOpened + " again": 1, attemptsBack + " g": 14,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
}
