package fieldpath

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	const doc = ` {"a": {"b" : [ 10 , {"c\u0064":"x\"}]"}, [], [1,2]], "": 1, "b c": null}, "n": 1.50e2 ,"a.b":true, "twice":1,"twice":2} `
	for path, want := range map[string]string{
		".":            strings.TrimSpace(doc),
		".n":           "1.50e2",
		".a.b[0]":      "10",
		".a.b[1].cd":   `"x\"}]"`,
		".a.b[3][1]":   "2",
		".a.b.[3].[1]": "2",
		".a.b[2]":      "[]",
		`.a."b c"`:     "null",
		`."a.b"`:       "true",
		`.a.""`:        "1",
		".twice":       "2",
		".x":           `the line has no "x"`,
		".a.b[4]":      ".a.b has fewer elements",
		".a.b[2][0]":   ".a.b[2] has fewer elements",
		".a[0]":        ".a is not a list",
		".n.x":         ".n is not an object",
		"[0]":          "it does not begin with a dot",
		"a":            "it does not begin with a dot",
		"":             "it does not begin with a dot",
		".a.":          "a name is missing",
		".a[-1]":       "not an index",
		".a[1":         "not an index",
		".a[0]b":       "comes . or [",
		`.a."b`:        "a quote is missing",
	} {
		p, err := Parse(path)
		var got []byte
		if err == nil {
			got, err = p.Find([]byte(doc))
			if err != nil && !errors.Is(err, ErrMissing) {
				t.Errorf("%s: %v", path, err)
			}
		}
		if string(got) != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %s, %v; want %s", path, got, err, want)
		}
	}
}

// What is found is what encoding/json finds.
func FuzzFind(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":2}]}`, `[]`, `{"a":{}}`, `{"a":[[],"]",{"b":"\\\""}]}`, `{"\u0061":1,"a":[0,{"b":null}]}`, `7`} {
		f.Add([]byte(s))
	}
	paths := []string{".", ".a", ".a[0]", ".a[1].b", `."".a`}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !json.Valid(doc) {
			return
		}
		for _, text := range paths {
			p, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(doc, &want); err != nil {
				return
			}
			ok := true
			for _, st := range p.steps {
				switch v := want.(type) {
				case map[string]any:
					want, ok = v[st.name]
					ok = ok && st.index < 0
				case []any:
					if ok = st.index >= 0 && st.index < len(v); ok {
						want = v[st.index]
					}
				default:
					ok = false
				}
				if !ok {
					break
				}
			}
			raw, err := p.Find(doc)
			if ok != (err == nil) {
				t.Fatalf("%s in %s: %v, want it found: %v", text, doc, err, ok)
			}
			var got any
			if ok && (json.Unmarshal(raw, &got) != nil || !reflect.DeepEqual(got, want)) {
				t.Fatalf("%s in %s: %s", text, doc, raw)
			}
		}
	})
}

// Whatever the path: what Parse takes is found in a document that was made for it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{".", ".a.b[1].c", `.""`, `."a\"b"[0]`, "[0]", ".[0].[1]", ".a..b", `."\u0000"`, ".\xff", `."\ud800"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		var doc any = "found"
		for _, st := range slices.Backward(p.steps) {
			switch {
			case st.index > 1000:
				return
			case st.index >= 0:
				list := make([]any, st.index+1)
				list[st.index] = doc
				doc = list
			default:
				doc = map[string]any{"": nil, st.name: doc}
			}
		}
		raw, err := json.Marshal(doc)
		if err != nil || len(p.steps) > 1000 {
			return
		}
		got, err := p.Find(raw)
		if err != nil || string(got) != `"found"` {
			t.Errorf("%q in %s: %s, %v", text, raw, got, err)
		}
	})
}
