package explain

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
	"github.com/twmb/franz-go/pkg/kerr"
)

var (
	ourOnes  = regexp.MustCompile("`?orderly (\\w+)")
	ourWords = []string{"doctor", "audit", "prove", "explain", "status", "keys", "dlt"}
	entryID  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

// Every entry answers every question, and points to what is there.
func TestEntriesAreWhole(t *testing.T) {
	seen, codesSeen := map[string]bool{}, map[int]string{}
	for _, e := range entries {
		if seen[e.ID] || !entryID.MatchString(e.ID) {
			t.Errorf("id %q is there twice, or no id", e.ID)
		}
		seen[e.ID] = true
		if e.Severity.rank() < 0 {
			t.Errorf("%s: severity %q", e.ID, e.Severity)
		}
		for what, text := range map[string]string{"title": e.Title, "what": e.What, "data": e.Data, "tell": e.Tell} {
			if text == "" || strings.Contains(text, "  ") {
				t.Errorf("%s: %s is empty or has odd spaces: %q", e.ID, what, text)
			}
		}
		if len(e.Do) == 0 || len(e.Sources) == 0 {
			t.Errorf("%s: nothing to do, or no source", e.ID)
		}
		for _, r := range e.Rules {
			if rules.Find(r) == nil || rules.Find(r).ID != r {
				t.Errorf("%s names the rule %q, which the doctor does not have", e.ID, r)
			}
		}
		for _, y := range e.YieldsTo {
			if y != "*" && byID[y] == nil {
				t.Errorf("%s yields to %q, which is not there", e.ID, y)
			}
		}
		for _, m := range ourOnes.FindAllStringSubmatch(strings.Join(slices.Concat(e.See, e.Do, []string{e.Tell}), "\n"), -1) {
			if strings.HasPrefix(m[0], "`") && !slices.Contains(ourWords, m[1]) {
				t.Errorf("%s names the command %q", e.ID, m[1])
			}
		}
		if e.Code != 0 {
			if codesSeen[e.Code] != "" {
				t.Errorf("code %d is %s and %s", e.Code, codesSeen[e.Code], e.ID)
			}
			codesSeen[e.Code] = e.ID
		}
	}
	for _, p := range patterns {
		if byID[p.entry] == nil || len(p.stem) < 8 || p.stem != strings.ToLower(p.stem) {
			t.Errorf("pattern %q of %q: no such entry, or a stem that is short or not in lower case", p.stem, p.entry)
		}
		if p.re != nil {
			for _, g := range p.re.SubexpNames() {
				if _, ok := fieldOf[g]; g != "" && !ok {
					t.Errorf("pattern %q: no field %q", p.stem, g)
				}
			}
		}
	}
	for _, s := range subjects {
		for _, g := range s.re.SubexpNames() {
			if _, ok := fieldOf[g]; g != "" && !ok {
				t.Errorf("subject %s: no field %q", s.re, g)
			}
		}
	}
	for _, l := range leads {
		if byID[l.from] == nil || byID[l.to] == nil || l.why == "" {
			t.Errorf("lead %s to %s: no such entry", l.from, l.to)
		}
	}
}

// Every error code of the protocol that the client library knows is explained, under
// its name, and no other code is.
func TestEveryCodeIsExplained(t *testing.T) {
	known := 0
	for code := -1; code < 400; code++ {
		ke := kerr.TypedErrorForCode(int16(code))
		there := code == 0 || ke != nil && int(ke.Code) == code
		r, err := explainCode(code, Unknown)
		if there != (err == nil) {
			t.Errorf("code %d: known to the client %v, here %v", code, there, err)
			continue
		}
		if !there || code == 0 {
			continue
		}
		known++
		name := ke.Message
		by, err := Explain(name, Unknown)
		if err != nil {
			t.Errorf("%s (%d): %v", name, code, err)
			continue
		}
		if r.Meaning != by.Meaning || !slices.Equal(r.Entries, by.Entries) {
			t.Errorf("%s and %d are not the same", name, code)
		}
		// In the message of the client's error it is found, too.
		if m := r.Meaning; m == nil {
			if got, err := Explain("produce failed: "+ke.Error(), Unknown); err != nil || got.Entries[0] != r.Entries[0] {
				t.Errorf("%s is not found in its own text (%v)", name, err)
			}
		} else if m.Meaning == "" || !strings.HasSuffix(m.Meaning, ".") {
			t.Errorf("%s: meaning %q", name, m.Meaning)
		}
	}
	if known < 130 {
		t.Fatalf("%d codes: this test does not see the client's table", known)
	}
}

// The two that people look for give all six causes, each with its parts.
func TestSixCauses(t *testing.T) {
	for _, name := range []string{"45", "46", "OUT_OF_ORDER_SEQUENCE_NUMBER", "DuplicateSequenceException", "kafka server: The broker received a duplicate sequence number"} {
		r, err := Explain(name, Unknown)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := r.Write(&out, Options{}); err != nil {
			t.Fatal(err)
		}
		causes := r.Entries[0].Causes
		if len(causes) != 6 {
			t.Fatalf("%s: %d causes", name, len(causes))
		}
		for _, c := range causes {
			for _, text := range []string{c.Title, c.Diagnosis, c.Fix, c.Why, c.Outdated} {
				if text == "" || !strings.Contains(strings.Join(strings.Fields(out.String()), " "), text) {
					t.Errorf("%s: %q is not printed", name, text)
				}
			}
		}
	}
}

// The automaton finds what a plain search does.
func TestStemsFindWhatASearchFinds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abAB_"[rnd.IntN(5)]
		}
		return string(b)
	}
	for range 300 {
		var lits []string
		for range 1 + rnd.IntN(12) {
			lits = append(lits, word(1+rnd.IntN(5)))
		}
		text := word(rnd.IntN(60))
		want := map[[2]int]bool{}
		for i, l := range lits {
			for end := len(l); end <= len(text); end++ {
				if strings.EqualFold(text[end-len(l):end], l) {
					want[[2]int{i, end}] = true
				}
			}
		}
		s := newStems(lits)
		got := map[[2]int]bool{}
		s.each(text, func(i, end int) bool { got[[2]int{i, end}] = true; return true })
		if len(got) != len(want) || s.any([]byte(text)) != (len(want) > 0) {
			t.Fatalf("%q in %q: %v, want %v", lits, text, got, want)
		}
		for k := range want {
			if !got[k] {
				t.Fatalf("%q in %q: %v is missing", lits, text, k)
			}
		}
	}
}
