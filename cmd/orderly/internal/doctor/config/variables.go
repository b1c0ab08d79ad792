package config

import "slices"

// The variables of a file. One is followed only where nothing else can be in it: it is
// given a value once, nothing is set in it later, and it is nobody's parameter.
type variables struct {
	ts    []tok
	at    map[string][]int // where the name stands, when it is not a field of another
	found map[string]int
	set   map[string]later
	kafka map[string]bool // JavaScript: new Kafka(...) is put into it
}

func variablesOf(ts []tok) *variables {
	v := &variables{ts: ts, at: map[string][]int{}, found: map[string]int{}, set: map[string]later{}, kafka: map[string]bool{}}
	for i, t := range ts {
		if t.kind == 'i' && (i == 0 || ts[i-1].text != "." || is(ts, i-3, ".", ".", ".")) {
			v.at[t.text] = append(v.at[t.text], i)
		}
	}
	return v
}

// mapping is where the mapping of a variable begins, with "{" or the bracket of
// "dict(", when that is all that the file puts into it; else -1.
func (v *variables) mapping(name []tok) int {
	if len(name) != 1 || name[0].kind != 'i' {
		return -1
	}
	at, ok := v.found[name[0].text]
	if !ok {
		at = v.look(name[0].text)
		v.found[name[0].text] = at
	}
	return at
}

func (v *variables) look(name string) int {
	ts, at, times := v.ts, -1, 0
	for _, i := range v.at[name] {
		eq := i + 1
		if is(ts, i+1, ":") && is(ts, i+3, "=") { // with its type
			eq = i + 3
		}
		switch {
		case is(ts, eq, "=", ">"), is(ts, i-1, "lambda"), v.parameter(i):
			return -1
		case is(ts, eq, "=") && !is(ts, eq+1, "="):
			if i > 0 && (ts[i-1].text == "(" || ts[i-1].text == ",") {
				continue // a keyword argument
			}
			times++
			switch {
			case is(ts, eq+1, "{"):
				at = eq + 1
			case is(ts, eq+1, "dict", "("):
				at = eq + 2
			}
		case v.changed(i):
			return -1
		}
	}
	if times != 1 || at < 0 || closing(ts, at) >= len(ts) {
		return -1
	}
	return at
}

// changed says that something is set in a variable: a[k] = v, a.k = v, a.update(...),
// Object.assign(a, ...).
func (v *variables) changed(i int) bool {
	ts := v.ts
	if is(ts, i+1, "[") {
		end := closing(ts, i+1)
		return is(ts, end+1, "=") && !is(ts, end+2, "=")
	}
	return is(ts, i+1, ".", "update", "(") || is(ts, i+1, ".") && is(ts, i+3, "=") && !is(ts, i+4, "=") || is(ts, i-2, "assign", "(")
}

// parameter says that a name stands in the brackets of a function that is defined.
func (v *variables) parameter(i int) bool {
	ts := v.ts
	open := i - 1
	for far := max(0, i-200); open >= far && !(ts[open].kind == 'p' && ts[open].span > 0 && open+ts[open].span > i); open-- {
	}
	if open < 0 || ts[open].text != "(" {
		return false
	}
	end := closing(ts, open)
	return is(ts, open-2, "def") || is(ts, open-2, "function") || is(ts, open-1, "function") || is(ts, end+1, "=", ">") || is(ts, end+1, "{") || is(ts, end+1, ":")
}

// maxLater bounds what is kept of one variable.
const maxLater = 100

// later are the settings that a program sets in variables after they were made: when,
// and to what, is decided elsewhere.
type later struct {
	set []entry
	any bool // it may be any setting
}

func (v *variables) later(name string) later {
	if l, ok := v.set[name]; ok {
		return l
	}
	var l later
	defer func() { v.set[name] = l }()
	for _, i := range v.at[name] {
		if !v.changed(i) {
			continue
		}
		if !is(v.ts, i+1, "[") || closing(v.ts, i+1) != i+3 || v.ts[i+2].kind != 's' || len(l.set) == maxLater {
			l.any = true
			continue
		}
		name := v.ts[i+2].text
		if !slices.ContainsFunc(l.set, func(e entry) bool { return e.path == name }) {
			l.set = append(l.set, entry{path: name, raw: name, open: true, line: v.ts[i].line})
		}
	}
	return l
}
