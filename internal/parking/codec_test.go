package parking

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// golden is one record of testdata/entries-v1.json, with what it means. Bytes are
// text where they can be.
type golden struct {
	Name    string
	Key     *string
	Value   *string
	Headers [][2]string // the first is ours
	Entry   json.RawMessage
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func (g golden) record() Record {
	r := Record{Key: bytesOf(g.Key), Value: bytesOf(g.Value)}
	for _, h := range g.Headers {
		r.Headers = append(r.Headers, Header{h[0], []byte(h[1])})
	}
	return r
}

func readGolden(t testing.TB) (all []golden) {
	t.Helper()
	raw, err := os.ReadFile("testdata/entries-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 9 {
		t.Fatalf("%d golden entries; there are 9 kinds", len(all))
	}
	return all
}

// What is parked outlives releases. The file is never written again: a new
// version gets a file of its own.
func TestVersion1IsReadAndWrittenAsEver(t *testing.T) {
	kinds := map[Kind]bool{}
	for _, g := range readGolden(t) {
		t.Run(g.Name, func(t *testing.T) {
			e, err := Decode(g.record())
			if err != nil {
				t.Fatal(err)
			}
			kinds[e.Kind] = true
			var want Entry
			if err := json.Unmarshal(g.Entry, &want); err != nil {
				t.Fatal(err)
			}
			if want.Parked != nil {
				want.Parked.Record = Record{Key: bytesOf(g.Key), Value: bytesOf(g.Value)}
				for _, h := range g.Headers[1:] {
					want.Parked.Record.Headers = append(want.Parked.Record.Headers, Header{h[0], []byte(h[1])})
				}
			}
			if want.Progress != nil {
				want.Progress.Attempts, want.Progress.Ahead = []Attempts{{40, 2}}, []Span{{41, 50}, {60, 61}}
			}
			if want.Run != nil {
				want.Run.Records = goldenRun
			}
			if !reflect.DeepEqual(*e, want) {
				t.Errorf("read   %+v\ngolden %+v", *e, want)
			}
			r, err := Encode(&want)
			if err != nil || !reflect.DeepEqual(r, g.record()) {
				t.Errorf("written %s, %v\ngolden  %s", r.Headers[0].Value, err, g.Headers[0][1])
			}
		})
	}
	if len(kinds) != 9 {
		t.Errorf("golden entries of %d kinds, not 9", len(kinds))
	}
}

func raw(t *rapid.T, name string) []byte {
	if rapid.Bool().Draw(t, name+" is nil") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, name)
}

// Whatever a record holds, it comes back byte for byte, nil and empty apart.
func TestParkedRecordsComeBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := Record{Key: raw(t, "key"), Value: raw(t, "value")}
		for range rapid.IntRange(0, 4).Draw(t, "headers") {
			name := rapid.SampledFrom([]string{"a", "", header, "b"}).Draw(t, "name")
			rec.Headers = append(rec.Headers, Header{name, raw(t, "header")})
		}
		key := rec.Key
		if rapid.Bool().Draw(t, "other key") {
			key = raw(t, "ordering key")
		}
		want := &Entry{Kind: KindParked, Token: rapid.Int64().Draw(t, "token"), Seq: 3, Key: key, Offset: 9, After: 4,
			Parked: &ParkedBody{Record: rec, Topic: "orders", Timestamp: rapid.Int64().Draw(t, "timestamp"), Failure: Failure{Cause: "no", Attempts: 2}}}
		r, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || !sameKey(got.Key, key) || !sameKey(got.Parked.Record.Key, rec.Key) || !sameKey(got.Parked.Record.Value, rec.Value) {
			t.Fatalf("%+v %+v\nbecame\n%+v %+v", want, want.Parked, got, got.Parked)
		}
	})
}

// goldenRun is what the golden run holds: a record without headers, one without a value
// and with a header, and one with a key of its own.
var goldenRun = []Follower{
	{Offset: 41, Record: Record{Key: []byte("customer-7"), Value: []byte("first")}},
	{Offset: 44, Timestamp: 5, Record: Record{Key: []byte("customer-7"), Headers: []Header{{"kind", []byte{}}}}},
	{Offset: 45, Timestamp: 6, Record: Record{Key: []byte("key"), Value: []byte{}}},
}

// A run gives each of its records back as it was, as a parked entry of its own.
func TestRunsComeBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := raw(t, "ordering key")
		run := &RunBody{Topic: "orders", Partition: 3, N: rapid.IntRange(1, 9).Draw(t, "records")}
		offset := rapid.Int64Range(1, 1<<40).Draw(t, "offset")
		want := &Entry{Kind: KindRun, Token: 4, Seq: 5, Key: key, Offset: offset, After: offset, Run: run}
		for range run.N {
			rec := Record{Key: key, Value: raw(t, "value")}
			if rapid.Bool().Draw(t, "other key") {
				rec.Key = raw(t, "key")
			}
			for range rapid.IntRange(0, 2).Draw(t, "headers") {
				rec.Headers = append(rec.Headers, Header{rapid.SampledFrom([]string{"a", "", header}).Draw(t, "name"), raw(t, "header")})
			}
			run.Records = append(run.Records, Follower{offset, rapid.Int64().Draw(t, "timestamp"), rec})
			offset += rapid.Int64Range(1, 1<<20).Draw(t, "gap")
		}
		r, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || !sameKey(got.Key, key) {
			t.Fatalf("%+v %+v\nbecame\n%+v %+v", want, run, got, got.Run)
		}
		for i, f := range run.Records {
			e := got.Record(f.Offset)
			if e == nil || !reflect.DeepEqual(e.Parked, &ParkedBody{Record: f.Record, Topic: "orders", Partition: 3, Timestamp: f.Timestamp}) || !sameKey(e.Parked.Record.Key, f.Record.Key) {
				t.Fatalf("record %d became %+v", i, e)
			}
		}
		if e := got.Record(offset); e != nil {
			t.Fatalf("%+v is in no run", e)
		}
		short := r
		short.Value = r.Value[:rapid.IntRange(0, len(r.Value)-1).Draw(t, "cut")]
		var damaged *DamagedError
		if e, err := Decode(short); !errors.As(err, &damaged) {
			t.Fatalf("cut to %d bytes it is read as %+v, %v", len(short.Value), e, err)
		}
	})
}

func TestCausesAreCut(t *testing.T) {
	r, err := Encode(&Entry{Kind: KindTried, Tried: &TriedBody{Failure{Cause: "\xff" + strings.Repeat("é", maxCause)}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	if c := e.Tried.Failure.Cause; !utf8.ValidString(c) || len(c) > maxCause || len(c) < maxCause-4 {
		t.Errorf("%d bytes, valid %t", len(c), utf8.ValidString(c))
	}
}

func TestWhatIsNoEntryIsRefused(t *testing.T) {
	h := func(s string) Record { return Record{Headers: []Header{{header, []byte(s)}}} }
	var newer *NewerError
	if _, err := Decode(h(`{"v":2,"kind":"from the future","more":1}`)); !errors.As(err, &newer) || newer.Version != 2 {
		t.Errorf("a newer entry: %v", err)
	}
	for name, r := range map[string]Record{
		"no header":             {},
		"another first header":  {Headers: []Header{{"x", nil}, {header, []byte(`{"v":1,"kind":"settled","offset":0}`)}}},
		"no JSON":               h(`{`),
		"more behind it":        h(`{"v":1,"kind":"settled","offset":0}{}`),
		"no version":            h(`{"kind":"settled","offset":0}`),
		"an unknown field":      h(`{"v":1,"kind":"settled","offset":0,"x":1}`),
		"an unknown kind":       h(`{"v":1,"kind":"x","offset":0}`),
		"no body":               h(`{"v":1,"kind":"marker","offset":0}`),
		"another's body":        h(`{"v":1,"kind":"settled","offset":0,"tried":{"failure":{}}}`),
		"two bodies":            h(`{"v":1,"kind":"progress","offset":0,"progress":{},"tried":{"failure":{}}}`),
		"a negative offset":     h(`{"v":1,"kind":"settled","offset":-1}`),
		"rests on itself":       h(`{"v":1,"kind":"settled","offset":1,"after":2}`),
		"resolves backwards":    h(`{"v":1,"kind":"resolved","offset":4,"resolved":{"last":3}}`),
		"a command without id":  h(`{"v":1,"kind":"command","offset":0,"command":{"id":"","verb":"skip","who":"","when":0}}`),
		"an unknown verb":       h(`{"v":1,"kind":"command","offset":0,"command":{"id":"1","verb":"x","who":"","when":0}}`),
		"an unknown answer":     h(`{"v":1,"kind":"answer","offset":0,"answer":{"command":{"id":"1","verb":"skip","who":"","when":0},"state":"x","at":0,"n":1}}`),
		"attempts out of order": {Headers: []Header{{header, []byte(`{"v":1,"kind":"progress","offset":0,"progress":{}}`)}}, Value: []byte{2, 2, 1, 0, 1, 0}},
		"runs that touch":       {Headers: []Header{{header, []byte(`{"v":1,"kind":"progress","offset":0,"progress":{"up_to":9}}`)}}, Value: []byte{0, 2, 1, 1, 0, 1}},
		"runs beyond the end":   {Headers: []Header{{header, []byte(`{"v":1,"kind":"progress","offset":0,"progress":{"up_to":1}}`)}}, Value: []byte{0, 1, 1, 1}},
		"a note cut short":      {Headers: []Header{{header, []byte(`{"v":1,"kind":"progress","offset":0,"progress":{}}`)}}, Value: []byte{9, 1, 1}},
		"more behind a note":    {Headers: []Header{{header, []byte(`{"v":1,"kind":"progress","offset":0,"progress":{}}`)}}, Value: []byte{0, 0, 0}},
		"a note without value":  h(`{"v":1,"kind":"progress","offset":0,"progress":{}}`),
		"a run without records": h(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":0}}`),
		"a run cut short":       h(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":1}}`),
		"a run of too many":     h(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":1000000000000}}`),
		"a run out of order": {Headers: []Header{{header, []byte(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":2}}`)}},
			Value: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"a run elsewhere": {Headers: []Header{{header, []byte(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":1}}`)}},
			Value: []byte{1, 0, 0, 0, 0}},
		"a run that rests on nothing": {Headers: []Header{{header, []byte(`{"v":1,"kind":"run","offset":1,"run":{"topic":"t","partition":0,"records":1}}`)}},
			Value: []byte{0, 0, 0, 0, 0}},
		"more behind a run": {Headers: []Header{{header, []byte(`{"v":1,"kind":"run","offset":1,"after":1,"run":{"topic":"t","partition":0,"records":1}}`)}},
			Value: []byte{0, 0, 0, 0, 0, 0}},
		"a strange key":     h(`{"v":1,"kind":"settled","offset":0,"key_is":"x"}`),
		"a header too long": h(`{"v":1,"kind":"settled","offset":0` + strings.Repeat(" ", MaxEntry) + `}`),
	} {
		var damaged *DamagedError
		if e, err := Decode(r); !errors.As(err, &damaged) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// FuzzDecode: nothing makes Decode panic, what it takes can be replayed, and is
// written as something that means the same.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(bytesOf(g.Key), bytesOf(g.Value), []byte(g.Headers[0][1]))
	}
	rules := DefaultRules()
	f.Fuzz(func(t *testing.T, key, value, head []byte) {
		e, err := Decode(Record{Key: key, Value: value, Headers: []Header{{header, head}}})
		if err != nil {
			return
		}
		s := NewState()
		s.Apply(0, e, &rules)
		s.Apply(1, e, &rules)
		r, err := Encode(e)
		if err != nil {
			t.Fatalf("%s is read and not written: %v", head, err)
		}
		again, err := Decode(r)
		if err != nil {
			t.Fatalf("%s is written and not read: %v", r.Headers[0].Value, err)
		}
		if again.Kind != e.Kind || again.Offset != e.Offset || again.After != e.After || !sameKey(again.Key, e.Key) {
			t.Fatalf("%+v became %+v", e, again)
		}
	})
}
