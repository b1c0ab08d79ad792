package demo

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bundled truth is the one that the bundled changes come to.
func TestSampleEndsAsItsTruth(t *testing.T) {
	in, err := Sample()
	if err != nil {
		t.Fatal(err)
	}
	truth, err := TruthOf(in.Name, in.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(truth, in.Truth) {
		t.Error("the bundled truth differs: make the sample again, see package gen")
	}
	ops := map[string]int{}
	again := 0
	for _, c := range in.Changes {
		ops[c.Op]++
		if c.Op == "A" && c.Seq > 1 {
			again++
		}
	}
	if len(in.Changes) < 4000 || in.Keys() < 100 || ops["D"] == 0 || again == 0 {
		t.Errorf("%d changes of %d paths, ops %v, %d added again: too little to show anything", len(in.Changes), in.Keys(), ops, again)
	}
}

func TestFiles(t *testing.T) {
	f := NewFiles()
	for i, step := range []struct {
		op   string
		good bool
	}{{"M", false}, {"D", false}, {"A", true}, {"A", false}, {"M", true}, {"T", true}, {"D", true}, {"T", false}, {"A", true}} {
		if err := f.Apply(Change{Path: "f", Op: step.op, Commit: step.op}); (err == nil) != step.good {
			t.Errorf("step %d (%s): %v", i, step.op, err)
		}
	}
	want := Truth{"f": {Commit: "A", Changes: 5}}
	if d := f.Differences(want); len(d) != 0 {
		t.Errorf("differences %v: %+v", d, f.live)
	}
	if d := f.Differences(Truth{"f": {Commit: "A", Changes: 4}, "g": {}}); len(d) != 2 {
		t.Errorf("differences %v, want f and g", d)
	}
	if d := f.Differences(nil); len(d) != 1 {
		t.Errorf("differences %v, want f", d)
	}
}

func TestBadInput(t *testing.T) {
	const good = `{"path":"f","seq":1,"op":"A","commit":"c"}` + "\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "holds no changes"},
		{"no JSON", good + "what", "line 2: not a change"},
		{"no path", `{"seq":1,"op":"A","commit":"c"}`, "line 1: not a change"},
		{"unknown op", `{"path":"f","seq":1,"op":"X","commit":"c"}`, "op (A, M, T or D)"},
		{"gap", good + `{"path":"f","seq":3,"op":"M","commit":"c"}`, "line 2: path \"f\" has seq 3 after 1"},
		{"impossible", good + `{"path":"f","seq":2,"op":"A","commit":"c"}`, "line 2: change 2 of f is A, but the file exists"},
		{"half a gzip", "\x1f\x8b", "cannot be decompressed"},
		{"long line", good + strings.Repeat("x", maxLine+1), "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in.jsonl")
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			var bad *InputError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, which should say %q", err, c.want)
			}
		})
	}
	var bad *InputError
	if _, err := Load(filepath.Join(t.TempDir(), "absent")); !errors.As(err, &bad) || !strings.Contains(err.Error(), "cannot be opened") {
		t.Errorf("error %v", err)
	}
}

func TestTruthRoundTrip(t *testing.T) {
	want := Truth{"b c": {"c1", 2}, "a": {"c2", 1}}
	var b strings.Builder
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTruth(strings.NewReader(b.String())); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"a\tb", "a\tb\tc"} {
		if _, err := ReadTruth(strings.NewReader(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// The same seed gives both columns the same times and failures.
func TestPlan(t *testing.T) {
	a := plan{seed: 1, maxWork: maxWork, perMille: failPerMille}
	b := plan{seed: 2, maxWork: maxWork, perMille: failPerMille}
	fail, same := 0, 0
	for o := range int64(100_000) {
		if w := a.work(0, o, 1); w < 0 || w >= maxWork {
			t.Fatalf("offset %d works %s", o, w)
		} else if w == b.work(0, o, 1) {
			same++
		}
		if a.fails(0, o) {
			fail++
		}
	}
	if fail < 800 || fail > 1200 {
		t.Errorf("%d of 100,000 fail, planned were %d in a thousand", fail, failPerMille)
	}
	if same > 10 {
		t.Errorf("%d records work as long with another seed", same)
	}
	if again := a; a.work(3, 5, 1) != again.work(3, 5, 1) || a.work(3, 5, 1) == a.work(3, 5, 2) {
		t.Error("the time of an attempt must depend on seed, partition, offset and attempt, and on nothing else")
	}
}
