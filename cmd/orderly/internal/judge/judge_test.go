package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
	"github.com/orderly-go/orderly/internal/history"
)

const topic = "orders"

// sent is n records of a key that went the whole way, in this order of the log.
func sent(key string, order ...int64) []history.Event {
	var out []history.Event
	id := func(kind history.Kind, n int64, offset int) history.Event {
		return history.Event{Kind: kind, Topic: topic, Offset: int64(offset), Key: history.StringKey(key), Writer: "w1", Number: n}
	}
	for _, n := range slices.Sorted(slices.Values(order)) {
		out = append(out, id(history.Send, n, 0))
	}
	for o, n := range order {
		out = append(out, id(history.Ack, n, o), id(history.LogRead, n, o))
	}
	return out
}

func fault(kind string) history.Event {
	return history.Event{Kind: history.Fault, Why: kind, Topic: topic}
}

// checked checks events as they stand in a file.
func checked(t testing.TB, name string, events ...history.Event) Run {
	t.Helper()
	var b bytes.Buffer
	for i := range events {
		events[i].N = int64(i + 1)
	}
	if err := history.Write(&b, events); err != nil {
		t.Fatal(err)
	}
	r, err := Check(context.Background(), name, func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}, history.Options{Complete: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	good := append(sent("a", 1, 2, 3), fault("lost-ack"), fault("lost-ack"), fault("cut"))
	bad := append(sent("a", 2, 1, 3), fault("lost-ack"))
	unfaulted := sent("a", 1, 2, 3)
	unread := append(slices.Clone(good), history.Event{Kind: history.Send, Topic: topic, Key: history.StringKey("a"), Writer: "w1", Number: 4},
		history.Event{Kind: history.Ack, Topic: topic, Offset: 9, Key: history.StringKey("a"), Writer: "w1", Number: 4})
	malformed := append(slices.Clone(good), history.Event{Kind: history.End, Member: "m", Topic: topic, Token: 1})
	numberless := []history.Event{{Kind: history.LogRead, Topic: topic, Key: history.StringKey("a")}, {Kind: history.LogRead, Topic: topic, Offset: 1, Key: history.StringKey("a")}}
	run := func(events []history.Event) Run { return checked(t, "run", slices.Clone(events)...) }
	control := func(events []history.Event) *Run { r := run(events); return &r }
	beyond := func(n int64) Run { r := run(good); r.Report.Uncompared = n; return r }
	for _, c := range []struct {
		name string
		in   Input
		want Word
		says []string // in the reason, or in one of the reasons
	}{
		{"held", Input{Subject: run(good), Control: control(bad)}, Held, []string{"3 records of 1 key ", "3 faults (2 lost-ack, 1 cut)", "violated 1 time"}},
		{"held, alone", Input{Subject: run(unfaulted)}, Held, []string{"no violation"}},
		{"violated", Input{Subject: run(bad), Control: control(bad)}, Violated, []string{"1 nonmonotonic-send under 1 fault (1 lost-ack)"}},
		{"violated, whatever the control", Input{Subject: run(bad), Control: control(good), MinFaults: 50}, Violated, []string{"did not break"}},
		{"violated, although not all was seen", Input{Subject: run(append(slices.Clone(bad), unread[len(unread)-2:]...))}, Violated, []string{"not seen"}},
		{"the control broke in an accepted way only", Input{Subject: run(good), Control: control(bad), Accept: []history.Class{history.NonmonotonicSend}}, Inconclusive, []string{"did not break"}},
		{"accepted", Input{Subject: run(bad), Control: control(append(sent("a", 1, 2, 2), fault("cut"))), Accept: []history.Class{history.NonmonotonicSend}}, Held, []string{"1 nonmonotonic-send, which you accept"}},
		{"the control held", Input{Subject: run(good), Control: control(good)}, Inconclusive, []string{"control did not break"}},
		{"no fault", Input{Subject: run(unfaulted), Control: control(bad)}, Inconclusive, []string{"0 faults hit the subject; needed: 1"}},
		{"too few faults", Input{Subject: run(good), Control: control(bad), MinFaults: 4}, Inconclusive, []string{"3 faults hit the subject; needed: 4"}},
		{"too few faults, alone", Input{Subject: run(good), MinFaults: 4}, Inconclusive, []string{"needed: 4"}},
		{"no fault hit the control", Input{Subject: run(good), Control: control(sent("a", 2, 1))}, Inconclusive, []string{"0 faults hit the control"}},
		{"unseen", Input{Subject: run(unread), Control: control(bad)}, Inconclusive, []string{"1 record was not seen", "number 4"}},
		{"nobody read", Input{Subject: run(good[:3])}, Inconclusive, []string{"nobody read the log", "3 sent records"}},
		{"nothing", Input{Subject: run(nil)}, Inconclusive, []string{"empty"}},
		{"one record of each key", Input{Subject: run(sent("a", 1))}, Inconclusive, []string{"no key has two"}},
		{"no numbers", Input{Subject: run(numberless)}, Inconclusive, []string{"carries a number"}},
		{"half was compared", Input{Subject: beyond(1), Control: control(bad)}, Held, nil},
		{"less than half was compared", Input{Subject: beyond(2), Control: control(bad)}, Inconclusive, []string{"2 of 3 observations", "more than half", "--duration"}},
		{"contradicts itself", Input{Subject: run(malformed)}, Inconclusive, []string{"contradicts itself in 1 place"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(c.in)
			all := v.Reason + "\n" + strings.Join(v.Reasons, "\n")
			if v.Verdict != c.want {
				t.Fatalf("%s (%s), want %s", v.Verdict, all, c.want)
			}
			for _, s := range c.says {
				if !strings.Contains(all, s) {
					t.Errorf("%q does not say %q", all, s)
				}
			}
			if alone := slices.Contains(v.Limits, noControl); alone != (c.in.Control == nil) {
				t.Errorf("limits %q", v.Limits)
			}
			var text strings.Builder
			if err := v.Write(&text); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(text.String(), strings.ToUpper(string(c.want))+": ") || strings.Contains(strings.ToLower(text.String()), "proven") {
				t.Errorf("text:\n%s", &text)
			}
		})
	}
}

// A finding shows its smallest example, its rule and the setting to change, with
// the fault that hit.
func TestFindingIsExplained(t *testing.T) {
	events := sent("a", 1, 2, 3, 5, 4, 6, 7, 8, 9, 10)
	hit := history.Event{Kind: history.Fault, Why: "cut-before-append", Topic: topic, Key: history.StringKey("a"), Writer: "w1", Number: 4}
	events = slices.Insert(events, 11, fault("elsewhere"), hit)
	v := Judge(Input{Version: "v1", Subject: checked(t, "mine", events...), Limits: []string{EmbeddedLimit}})
	if len(v.Findings) != 1 || v.Findings[0].Rule != "P01" || v.Findings[0].Example == nil {
		t.Fatalf("%+v", v.Findings)
	}
	var shown []string
	for _, s := range v.Findings[0].Example.Events {
		shown = append(shown, fmt.Sprintf("%s %s %d", s.Role, s.Event.Kind, s.Event.Number))
	}
	want := []string{
		"record send 4", "record send 5", "fault fault 4", "neighbour read 1", "neighbour read 2", "neighbour read 3",
		"record ack 5", "finding read 5", "record ack 4", "finding read 4", "neighbour read 6", "neighbour read 7", "neighbour read 8",
	}
	if !slices.Equal(shown, want) {
		t.Errorf("the example shows\n%q, want\n%q", shown, want)
	}
	var text, page strings.Builder
	if err := v.Write(&text); err != nil {
		t.Fatal(err)
	}
	if err := v.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"P01", "enable.idempotence=true", "cut-before-append", "in-sync replicas", "mine"} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("the text does not say %q:\n%s", s, &text)
		}
		if s != "mine" && !strings.Contains(page.String(), s) {
			t.Errorf("the page does not say %q", s)
		}
	}
	for _, s := range []string{"<svg", `<polyline class="r1"`, `<polyline class="r2"`, `<path class="fault"`, `class="finding r1"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(page.String(), s) {
			t.Errorf("the page has no %s", s)
		}
	}
}

// The picture shows an inversion as two lines that cross: the record that was
// sent first reaches the log last.
func TestPictureShowsTheInversion(t *testing.T) {
	v := Judge(Input{Subject: checked(t, "s", sent("a", 1, 3, 2, 4)...)})
	p := picture(v.Findings[0].Example)
	if len(p.Lines) != 2 {
		t.Fatalf("%d lines: %+v", len(p.Lines), p)
	}
	var x [2][2]int // of the sending and of the place in the log
	for i, l := range p.Lines {
		var y [2]int
		if _, err := fmt.Sscanf(l.Points, "%d,%d %d,%d", &x[i][0], &y[0], &x[i][1], &y[1]); err != nil {
			t.Fatal(err)
		}
		if y[0] != p.Lanes[0].Y || y[1] != p.Lanes[1].Y || p.Lanes[0].Name != "writer w1" || p.Lanes[1].Name != "log orders/0" {
			t.Errorf("line %q, lanes %+v", l.Points, p.Lanes)
		}
	}
	if x[0][0] >= x[1][0] || x[0][1] <= x[1][1] {
		t.Errorf("the lines %+v do not cross", p.Lines)
	}
	for _, d := range p.Dots {
		if d.X > p.Width || d.Y > p.Height {
			t.Errorf("dot %+v is outside of %dx%d", d, p.Width, p.Height)
		}
	}
}

// The names of the fields of the JSON are a promise.
func TestJSONIsStable(t *testing.T) {
	c := checked(t, "c", append(sent("a", 2, 1), fault("cut"))...)
	v := Judge(Input{Version: "v1", Subject: checked(t, "s", append(sent("a", 2, 1), fault("cut"))...), Control: &c})
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`"([a-z_A-Z]+)":`).FindAllStringSubmatch(string(b), -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	got := strings.Join(slices.Compact(names), " ")
	const want = "accepted acked also class control count counts cut e event events example explain failed faults findings finished first format " +
		"i k key keys limits n name not_compared number o offset p partition partitions polls reads reason reasons records repeats_allowed role rule s " +
		"sends setting side subject t text title topic unclear unfinished unseen verdict version violation violations writer"
	// "cut" is the name of the fault; an example's own "cut" is there only when it is too long.
	if got != want {
		t.Errorf("fields:\n%s\nwant:\n%s", got, want)
	}
}

var tags = regexp.MustCompile(`<[/!]?[a-zA-Z]+`)

// hostile gives a violated history in which every text is the given one.
func hostile(t testing.TB, text string) Verdict {
	clean := strings.ToValidUTF8(text, "?")
	events := sent(text, 2, 1)
	for i := range events {
		events[i].Writer = clean
	}
	if clean == "" {
		clean = "x"
	}
	for i := range events {
		events[i].Topic = clean
	}
	events = slices.Insert(events, 2, history.Event{Kind: history.Fault, Why: clean, Topic: clean})
	events = append(events,
		history.Event{Kind: history.Poll, Member: clean, Topic: clean, Offset: 0, Key: events[0].Key, Writer: events[0].Writer, Number: 2},
		history.Event{Kind: history.Did, Member: clean, Topic: clean, Offset: 0, Key: events[0].Key, Writer: events[0].Writer, Number: 2})
	return Judge(Input{Version: "v1", Subject: checked(t, clean, events...)})
}

// requireHarmless fails when text of a history becomes markup, an address, or
// something that a terminal obeys.
func requireHarmless(t testing.TB, text string) {
	t.Helper()
	render := func(s string) (page, plain string) {
		v := hostile(t, s)
		var p, q strings.Builder
		if err := v.WriteHTML(&p); err != nil {
			t.Fatal(err)
		}
		if err := v.Write(&q); err != nil {
			t.Fatal(err)
		}
		return p.String(), q.String()
	}
	page, plain := render(text)
	calm, _ := render("calm")
	if got, want := tags.FindAllString(page, -1), tags.FindAllString(calm, -1); !slices.Equal(got, want) {
		t.Errorf("%q changes the tags of the page:\n%q\nwant\n%q", text, got, want)
	}
	for _, r := range plain {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q puts %U into the text", text, r)
			break
		}
	}
}

var nasty = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style><svg onload=alert(1)>`, `</title>`, "{{.}}", "-->", "]]>", "&lt;b&gt;",
	"\x1b[2J\x1b]0;x\x07", "a\u202eb", "\xff\xfe\x00", "", strings.Repeat("<", 500), "javascript:alert(1)", "'; drop",
}

func TestPageIsHarmless(t *testing.T) {
	for _, s := range nasty {
		requireHarmless(t, s)
	}
	v := hostile(t, "calm")
	var p strings.Builder
	if err := v.WriteHTML(&p); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"<script", "http:", "https:", "src=", "href=", "url(", "@import", "ZgotmplZ"} {
		if strings.Contains(p.String(), s) {
			t.Errorf("the page has %q: it must be whole by itself", s)
		}
	}
}

func FuzzPageIsHarmless(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { requireHarmless(t, s) })
}

// A class that can be a finding says what to do about it.
func TestEachClassIsExplained(t *testing.T) {
	known := func(id string) bool { r := rules.Find(id); return r != nil && r.ID == id }
	for _, c := range history.Classes() {
		info := history.About(c)
		if info.Title == "" || info.Explain == "" || info.Side == "" || strings.Contains(info.Explain, "\n") {
			t.Errorf("%s: %+v", c, info)
		}
		if info.Side != history.Histories && (!known(info.Rule) || info.Setting == "") {
			t.Errorf("%s names no rule or no setting: %+v", c, info)
		}
		for _, id := range info.Also {
			if !known(id) || id == info.Rule {
				t.Errorf("%s: also %q", c, id)
			}
		}
	}
}
