package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// An event is one line of "go test -json".
type event struct {
	Action      string
	Package     string
	Test        string
	Elapsed     float64
	Output      string
	ImportPath  string // of build output
	FailedBuild string // on a package's "fail": the ImportPath whose build failed
}

// A packageResult is one package's part of a "go test -json". Tests are the
// top-level ones: subtests are details of their parents.
type packageResult struct {
	path    string
	elapsed time.Duration
	passed  int
	failed  int      // at least 1 when the package failed, for whatever reason
	failing []string // names of the failed tests; none when the package failed as a whole
	skipped []string // names, subtests included
	output  string   // all that a reader of a failure needs
	all     string   // all there was, for -v
}

// A collector turns events into packageResults.
type collector struct {
	pkgs   map[string]*packageState
	builds map[string]*strings.Builder
	report func(packageResult)
}

type packageState struct {
	result packageResult
	tests  []*testState
	own    strings.Builder // printed outside any test: a leak check, an exit
	all    strings.Builder
}

type testState struct {
	name    string
	running bool
	failed  bool
	output  strings.Builder
}

func newCollector(report func(packageResult)) *collector {
	return &collector{make(map[string]*packageState), make(map[string]*strings.Builder), report}
}

// read takes events until the end of r. Lines that are no events are returned:
// they are the go command's own words.
func (c *collector) read(r io.Reader) (stray string, err error) {
	var other strings.Builder
	for br := bufio.NewReader(r); ; {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				c.add(e)
			} else {
				other.Write(line)
			}
		}
		if errors.Is(err, io.EOF) {
			return other.String(), nil
		} else if err != nil {
			return other.String(), err
		}
	}
}

func (c *collector) add(e event) {
	switch {
	case e.Action == "build-output":
		b := c.builds[e.ImportPath]
		if b == nil {
			b = new(strings.Builder)
			c.builds[e.ImportPath] = b
		}
		b.WriteString(e.Output)
	case e.Package == "":
		// A build's end: the package's own "fail" names it.
	default:
		p := c.pkgs[e.Package]
		if p == nil {
			p = &packageState{result: packageResult{path: e.Package}}
			c.pkgs[e.Package] = p
		}
		if e.Test != "" {
			p.test(e)
		} else {
			c.pkg(p, e)
		}
	}
}

func (p *packageState) test(e event) {
	name, _, sub := strings.Cut(e.Test, "/")
	i := slices.IndexFunc(p.tests, func(t *testState) bool { return t.name == name })
	if i < 0 {
		i = len(p.tests)
		p.tests = append(p.tests, &testState{name: name})
	}
	t := p.tests[i]
	if e.Action == "skip" {
		p.result.skipped = append(p.result.skipped, e.Test)
	}
	if e.Action == "output" {
		t.output.WriteString(e.Output)
		p.all.WriteString(e.Output)
		return
	}
	if sub {
		return
	}
	switch e.Action {
	case "run":
		t.running = true
		if !t.failed { // with -count the same name runs again
			t.output.Reset()
		}
	case "pass":
		t.running = false
		p.result.passed++
	case "fail":
		t.running, t.failed = false, true
		p.result.failed++
	case "skip":
		t.running = false
	}
}

func (c *collector) pkg(p *packageState, e event) {
	switch e.Action {
	case "output":
		p.all.WriteString(e.Output)
		// The verdict is ours to print.
		if !strings.HasPrefix(e.Output, "FAIL") && !strings.HasPrefix(e.Output, "ok  \t") && e.Output != "PASS\n" {
			p.own.WriteString(e.Output)
		}
	case "pass", "skip", "fail":
		c.finish(p, e)
	}
}

func (c *collector) finish(p *packageState, e event) {
	r := &p.result
	r.elapsed = time.Duration(e.Elapsed * float64(time.Second))
	var out strings.Builder
	if e.Action == "fail" {
		for _, t := range p.tests {
			if t.running { // the process ended under it
				r.failed++
				t.failed = true
			}
			if t.failed {
				r.failing = append(r.failing, t.name)
				out.WriteString(t.output.String())
			}
		}
		if b := c.builds[e.FailedBuild]; b != nil {
			out.WriteString(b.String())
		}
		out.WriteString(p.own.String())
		r.failed = max(r.failed, 1)
	}
	r.output = out.String()
	r.all = p.all.String()
	delete(c.pkgs, r.path)
	c.report(*r)
}

// unfinished are the packages without an end: go test itself was ended.
func (c *collector) unfinished() []string {
	var paths []string
	for path := range c.pkgs {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
