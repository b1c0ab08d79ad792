package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// full has every field of every kind.
func full() []Event {
	at := func(e Event) Event { e.Topic, e.Partition, e.At = topic, 2, 17; return e }
	return []Event{
		at(Event{N: 1, Kind: Log, Offset: 0, Key: StringKey("a"), Number: 5}),
		at(Event{N: 2, Kind: Log, Offset: 1}),
		at(Event{N: 3, Kind: Log, Offset: 2, Key: StringKey("")}),
		at(Event{N: 4, Kind: Log, Offset: 3, Key: BytesKey([]byte{0xff, 0, '"'})}),
		at(Event{N: 9, Kind: Own, Member: "A", Token: 1}),
		at(Event{N: 10, Kind: Start, Member: "A", Token: 1, Offset: 0, Key: StringKey("a"), Attempt: 1, Batch: 3}),
		at(Event{N: 11, Kind: End, Member: "A", Token: 1, Offset: 0, Attempt: 1, OK: true, Cancelled: true}),
		at(Event{N: 12, Kind: Park, Member: "A", Token: 1, Offset: 1}),
		at(Event{N: 13, Kind: Done, Member: "A", Token: 1, Offset: 2, Why: "skipped by \"x\""}),
		at(Event{N: 14, Kind: Commit, Member: "A", Token: 1, Offset: 1, Ahead: []int64{2, 3}}),
		at(Event{N: 15, Kind: Effect, Member: "A", Token: 1, Offset: 0, Key: StringKey("a")}),
		at(Event{N: 16, Kind: Freeze, Member: "A"}),
		at(Event{N: 17, Kind: Release, Member: "A", Token: 1}),
		at(Event{N: 18, Kind: Lost, Member: "A"}),
		{N: 19, Kind: Freeze, Member: "A"},
		{N: 20, Kind: Thaw, Member: "A"},
		{N: 21, Kind: Kill, Member: "A"},
	}
}

// experiment has every field of every kind that version 2 brought.
func experiment() []Event {
	id := func(e Event) Event {
		e.Topic, e.Key, e.Writer, e.Epoch, e.Number = topic, StringKey("a"), "w1", 3, 7
		return e
	}
	return []Event{
		id(Event{N: 30, Kind: Send}),
		id(Event{N: 31, Kind: Ack, Partition: 2, Offset: 5}),
		id(Event{N: 32, Kind: Ack, Partition: -1, Offset: -1}),
		id(Event{N: 33, Kind: Fail, Why: "code 19"}),
		id(Event{N: 34, Kind: Unclear, Why: "cut"}),
		{N: 35, Kind: Unclear, Topic: topic, Number: 1},
		id(Event{N: 36, Kind: LogRead, Partition: 2, Offset: 5}),
		{N: 37, Kind: LogRead, Topic: topic, Partition: 0, Offset: 0},
		{N: 38, Kind: Assign, Member: "A", Topic: topic, Partition: 2},
		id(Event{N: 39, Kind: Poll, Member: "A", Partition: 2, Offset: 5}),
		id(Event{N: 40, Kind: Did, Member: "A", Partition: 2, Offset: 5}),
		id(Event{N: 41, Kind: Did, Member: "A", Partition: 2, Offset: 5, Cancelled: true}),
		{N: 42, Kind: Revoke, Member: "A", Topic: topic, Partition: 2},
		id(Event{N: 43, Kind: Fault, Why: "lost-ack", Partition: 2}),
		{N: 44, Kind: Fault, Why: "coordinator-error", Partition: -1},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	all := append(full(), experiment()...)
	if err := Save(path, all); err != nil {
		t.Fatal(err)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, all) {
		t.Errorf("read back\n%+v\nwant\n%+v", back, all)
	}
	var kinds []Kind
	for _, e := range back {
		kinds = append(kinds, e.Kind)
	}
	for k := range shapes {
		if !slices.Contains(kinds, k) {
			t.Errorf("kind %s is not in the round trip", k)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRoundTripOfWorlds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := clean(t)
		var b bytes.Buffer
		if err := Write(&b, events); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Check(back, complete), Check(events, complete); !reflect.DeepEqual(got, want) {
			t.Fatalf("another report after reading back:\n%s\nwant\n%s", got, want)
		}
	})
}

// Version 1 as it stands in files: what was written must be read for ever.
func TestGoldenVersion1(t *testing.T) {
	const golden = `{"history":1}
{"n":1,"at":17,"e":"log","t":"orders","p":2,"o":0,"k":"a","i":5}
{"n":2,"at":17,"e":"log","t":"orders","p":2,"o":1,"k":null}
{"n":3,"at":17,"e":"log","t":"orders","p":2,"o":2,"k":""}
{"n":4,"at":17,"e":"log","t":"orders","p":2,"o":3,"k":{"b64":"/wAi"}}
{"n":9,"at":17,"e":"own","m":"A","t":"orders","p":2,"f":1}
{"n":10,"at":17,"e":"start","m":"A","t":"orders","p":2,"o":0,"k":"a","f":1,"a":1,"b":3}
{"n":11,"at":17,"e":"end","m":"A","t":"orders","p":2,"o":0,"f":1,"a":1,"ok":true,"x":true}
{"n":12,"at":17,"e":"park","m":"A","t":"orders","p":2,"o":1,"f":1}
{"n":13,"at":17,"e":"done","m":"A","t":"orders","p":2,"o":2,"f":1,"w":"skipped by \"x\""}
{"n":14,"at":17,"e":"commit","m":"A","t":"orders","p":2,"o":1,"f":1,"d":[2,3]}
{"n":15,"at":17,"e":"effect","m":"A","t":"orders","p":2,"o":0,"k":"a","f":1}
{"n":16,"at":17,"e":"freeze","m":"A","t":"orders","p":2}
{"n":17,"at":17,"e":"release","m":"A","t":"orders","p":2,"f":1}
{"n":18,"at":17,"e":"lost","m":"A","t":"orders","p":2}
{"n":19,"e":"freeze","m":"A"}
{"n":20,"e":"thaw","m":"A"}
{"n":21,"e":"kill","m":"A"}
`
	back, err := Read(strings.NewReader(golden))
	if err != nil || !reflect.DeepEqual(back, full()) {
		t.Errorf("read (%v): %+v", err, back)
	}
}

// Version 2: what is written now.
func TestGoldenVersion2(t *testing.T) {
	const golden = `{"history":2}
{"n":30,"e":"send","t":"orders","k":"a","i":7,"s":"w1","g":3}
{"n":31,"e":"ack","t":"orders","p":2,"o":5,"k":"a","i":7,"s":"w1","g":3}
{"n":32,"e":"ack","t":"orders","k":"a","i":7,"s":"w1","g":3}
{"n":33,"e":"fail","t":"orders","k":"a","i":7,"w":"code 19","s":"w1","g":3}
{"n":34,"e":"unclear","t":"orders","k":"a","i":7,"w":"cut","s":"w1","g":3}
{"n":35,"e":"unclear","t":"orders","k":null,"i":1}
{"n":36,"e":"read","t":"orders","p":2,"o":5,"k":"a","i":7,"s":"w1","g":3}
{"n":37,"e":"read","t":"orders","p":0,"o":0,"k":null}
{"n":38,"e":"assign","m":"A","t":"orders","p":2}
{"n":39,"e":"poll","m":"A","t":"orders","p":2,"o":5,"k":"a","i":7,"s":"w1","g":3}
{"n":40,"e":"did","m":"A","t":"orders","p":2,"o":5,"k":"a","i":7,"s":"w1","g":3}
{"n":41,"e":"did","m":"A","t":"orders","p":2,"o":5,"k":"a","i":7,"x":true,"s":"w1","g":3}
{"n":42,"e":"revoke","m":"A","t":"orders","p":2}
{"n":43,"e":"fault","t":"orders","p":2,"k":"a","i":7,"w":"lost-ack","s":"w1","g":3}
{"n":44,"e":"fault","w":"coordinator-error"}
`
	var b bytes.Buffer
	if err := Write(&b, experiment()); err != nil {
		t.Fatal(err)
	}
	if b.String() != golden {
		t.Errorf("written:\n%s\nwant:\n%s", b.String(), golden)
	}
	back, err := Read(strings.NewReader(golden))
	if err != nil || !reflect.DeepEqual(back, experiment()) {
		t.Errorf("read (%v): %+v", err, back)
	}
}

func TestReadNamesLineAndRule(t *testing.T) {
	const head = "{\"history\":1}\n"
	const head2 = "{\"history\":2}\n"
	const thaw = `{"n":1,"e":"thaw","m":"A"}` + "\n"
	tests := []struct {
		name, text string
		line       int
		rule, says string
	}{
		{"empty file", "", 1, "header", "empty"},
		{"no header", thaw, 1, "header", `{"history":2}`},
		{"other JSON", "[]\n", 1, "header", ""},
		{"newer version", `{"history":3,"zip":true}` + "\n", 1, "version", "version 3"},
		{"no version", `{"history":0}` + "\n", 1, "version", "version 0"},
		{"kind of a later version", head + `{"n":1,"e":"send","t":"x","k":"a","i":1}`, 2, "kind", "version 1"},
		{"record without its number", head2 + `{"n":1,"e":"send","t":"x","k":"a"}`, 2, "fields", `"i"`},
		{"record numbered 0", head2 + `{"n":1,"e":"send","t":"x","k":"a","i":0}`, 2, "range", "from 1 up"},
		{"number too large", head2 + `{"n":1,"e":"send","t":"x","k":"a","i":9223372036854775807}`, 2, "range", "number"},
		{"offset too large", head2 + `{"n":1,"e":"read","t":"x","p":0,"o":9223372036854775807,"k":"a"}`, 2, "range", "offset"},
		{"ack with half a place", head2 + `{"n":1,"e":"ack","t":"x","p":1,"k":"a","i":1}`, 2, "range", "both are told"},
		{"negative offset of an ack", head2 + `{"n":1,"e":"ack","t":"x","p":1,"o":-2,"k":"a","i":1}`, 2, "range", ""},
		{"negative writer epoch", head2 + `{"n":1,"e":"send","t":"x","k":"a","i":1,"g":-1}`, 2, "range", "epoch"},
		{"fault without its kind", head2 + `{"n":1,"e":"fault","w":""}`, 2, "fields", "(w)"},
		{"partition of no topic", head2 + `{"n":1,"e":"fault","w":"cut","p":1}`, 2, "fields", "topic"},
		{"field in the header", `{"history":1,"zip":true}` + "\n", 1, "header", "zip"},
		{"cut off", head + thaw + `{"n":2,"e":"th`, 3, "json", "ends before"},
		{"blank line", head + "\n" + thaw, 2, "json", "ends before"},
		{"two objects", head + `{"n":1,"e":"thaw","m":"A"}{}`, 2, "json", "behind"},
		{"wrong type", head + `{"n":"1","e":"thaw","m":"A"}`, 2, "json", ""},
		{"unknown field", head + `{"n":1,"e":"thaw","m":"A","zip":1}`, 2, "json", "zip"},
		{"not UTF-8", head + "{\"n\":1,\"e\":\"thaw\",\"m\":\"\xff\"}", 2, "utf-8", ""},
		{"unknown kind", head + `{"n":1,"e":"nap","m":"A"}`, 2, "kind", "nap"},
		{"no number", head + `{"e":"thaw","m":"A"}`, 2, "fields", "(n)"},
		{"field missing", head + `{"n":1,"e":"own","m":"A","t":"x","p":0}`, 2, "fields", `"f"`},
		{"field of another kind", head + `{"n":1,"e":"thaw","m":"A","ok":true}`, 2, "fields", `"ok"`},
		{"topic without partition", head + `{"n":1,"e":"freeze","m":"A","t":"x"}`, 2, "fields", "partition"},
		{"key missing", head + `{"n":1,"e":"log","t":"x","p":0,"o":0}`, 2, "fields", `"k"`},
		{"damaged key", head + `{"n":1,"e":"log","t":"x","p":0,"o":0,"k":{"b64":"?"}}`, 2, "key", "b64"},
		{"key of another type", head + `{"n":1,"e":"log","t":"x","p":0,"o":0,"k":7}`, 2, "key", ""},
		{"negative offset", head + `{"n":1,"e":"log","t":"x","p":0,"o":-1,"k":null}`, 2, "range", "offset -1"},
		{"no member", head + `{"n":1,"e":"thaw","m":""}`, 2, "member", ""},
		{"ahead below the commit", head + `{"n":1,"e":"commit","m":"A","t":"x","p":0,"o":5,"d":[4]}`, 2, "range", "4"},
		{"numbers fall", head + thaw + thaw, 3, "number", "rise"},
		{"numbers from 1", head + `{"n":0,"e":"thaw","m":"A"}`, 2, "number", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tt.text))
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("error %v is no FormatError", err)
			}
			if fe.Line != tt.line || fe.Rule != tt.rule || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want line %d, rule %s, naming %q", err, tt.line, tt.rule, tt.says)
			}
		})
	}
}

func TestLineTooLong(t *testing.T) {
	text := "{\"history\":1}\n" + strings.Repeat(" ", maxLine+1)
	_, err := Read(strings.NewReader(text))
	var fe *FormatError
	if !errors.As(err, &fe) || fe.Line != 2 || fe.Rule != "length" {
		t.Errorf("error %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, events := range map[string][]Event{
		"kind":   {{Kind: "nap"}},
		"number": {{N: 2, Kind: Thaw, Member: "A"}, {N: 2, Kind: Thaw, Member: "A"}},
		"utf-8":  {{Kind: Thaw, Member: "\xff"}},
	} {
		path := filepath.Join(t.TempDir(), "h")
		if err := Save(path, events); err == nil || !strings.Contains(err.Error(), "rule "+name) {
			t.Errorf("error %v does not name rule %s", err, name)
		}
		if _, err := os.Stat(filepath.Dir(path) + "/h"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a refused history left a file (%v)", err)
		}
	}
}

func TestScanStopsAtTheCallersError(t *testing.T) {
	stop := errors.New("enough")
	seen := 0
	err := Scan(strings.NewReader("{\"history\":1}\n{\"n\":1,\"e\":\"thaw\",\"m\":\"A\"}\n{"), func(Event) error { seen++; return stop })
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("error %v after %d events", err, seen)
	}
}

// FuzzRead: any bytes give events or an error; events that were read can be
// checked and written, and read again are the same.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, full()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	b.Reset()
	if err := Write(&b, experiment()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("{\"history\":1}\n{\"n\":1,\"e\":\"end\",\"m\":\"A\",\"t\":\"x\",\"p\":0,\"o\":9223372036854775807,\"f\":1,\"a\":1,\"ok\":true}\n"))
	f.Fuzz(func(t *testing.T, in []byte) { readCheckWrite(t.Fatalf, in) })
}

func readCheckWrite(fatalf func(string, ...any), in []byte) {
	events, err := Read(bytes.NewReader(in))
	for _, opt := range []Options{complete, {Scope: ScopePartition, NoTokens: true, AllowCommitRegress: true}} {
		_ = Check(events, opt).String()
	}
	if err != nil {
		return
	}
	var out bytes.Buffer
	if err := Write(&out, events); err != nil {
		fatalf("events that were read cannot be written: %v", err)
	}
	again, err := Read(&out)
	if err != nil {
		fatalf("what was written cannot be read: %v", err)
	}
	if one, two := mustJSON(events), mustJSON(again); one != two {
		fatalf("read\n%s\nthen\n%s", one, two)
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Damage of every sort: cut, flipped and shuffled lines, and events in any
// order with any numbers, never panic.
func TestDamageNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := clean(t)
		for i := range events {
			j := rapid.IntRange(0, len(events)-1).Draw(t, "swap")
			events[i], events[j] = events[j], events[i]
			events[i].N = 0
			if rapid.IntRange(0, 9).Draw(t, "shift") == 0 {
				events[i].Offset = rapid.Int64().Draw(t, "offset")
			}
		}
		c := NewChecker(complete)
		c.behind = 0
		for _, e := range events {
			c.Add(e)
		}
		_ = c.Finish().String()

		var b bytes.Buffer
		if err := Write(&b, append(full(), experiment()...)); err != nil {
			t.Fatal(err)
		}
		text := b.Bytes()
		for range rapid.IntRange(0, 3).Draw(t, "flips") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		readCheckWrite(t.Fatalf, text[:rapid.IntRange(0, len(text)).Draw(t, "cut")])
	})
}

func TestKeys(t *testing.T) {
	if !BytesKey(nil).IsNull() || BytesKey([]byte{}).IsNull() || StringKey("") == (Key{}) {
		t.Error("null and empty keys are mixed up")
	}
	if StringKey("a") != BytesKey([]byte("a")) || StringKey("a").Text() != "a" {
		t.Error("a key depends on how it was made")
	}
	if (Key{}).String() != "null" || StringKey("null").String() != `"null"` {
		t.Error("a key cannot be told from null by eye")
	}
}
