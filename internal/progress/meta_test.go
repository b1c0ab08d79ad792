package progress

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var someTopic = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func mustEncode(t rapid.TB, watermark int64, m Meta, limit int) (string, Dropped) {
	t.Helper()
	text, dropped, err := Encode(watermark, m, limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > limit {
		t.Fatalf("%d characters, limit %d", len(text), limit)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			t.Fatalf("character %d is %q, want printable ASCII", i, text[i])
		}
	}
	return text, dropped
}

func mustDecode(t rapid.TB, watermark int64, text string) Meta {
	t.Helper()
	m, err := Decode(watermark, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

func drawMeta(t *rapid.T) (int64, Meta) {
	watermark := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, math.MaxInt64-1)).Draw(t, "watermark")
	m := Meta{
		Present: true,
		Token:   rapid.Int64().Draw(t, "token"),
		Clean:   rapid.Bool().Draw(t, "clean"),
		Unclean: rapid.IntRange(0, math.MaxInt32).Draw(t, "unclean"),
	}
	if rapid.Bool().Draw(t, "has topic id") {
		copy(m.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic id"))
	}
	step := rapid.OneOf(rapid.Int64Range(1, 5), rapid.Int64Range(1, 100_000), rapid.Int64Range(1, math.MaxInt64/4))
	at := watermark
	for range rapid.IntRange(0, 1500).Draw(t, "runs") {
		gap, length := step.Draw(t, "gap"), step.Draw(t, "length")
		if gap > math.MaxInt64-at || length > math.MaxInt64-at-gap {
			break
		}
		m.Ahead = append(m.Ahead, Run{at + gap, at + gap + length})
		at += gap + length
	}
	m.CompleteUpTo = at
	if more := step.Draw(t, "more"); more <= math.MaxInt64-at {
		m.CompleteUpTo += more
	}
	at = watermark - 1
	for range rapid.IntRange(0, 400).Draw(t, "attempts") {
		distance := step.Draw(t, "distance")
		if distance >= math.MaxInt64-at {
			break
		}
		at += distance
		m.Attempts = append(m.Attempts, Attempt{at, rapid.IntRange(1, math.MaxInt32).Draw(t, "count")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "extras") {
		m.Extra = append(m.Extra, Field{
			rapid.StringMatching(`[a-z0-9]{2,8}`).Draw(t, "tag"),
			rapid.StringMatching(`[!-:<-~]{0,60}`).Draw(t, "value"),
		})
	}
	return watermark, m
}

func TestWhatFitsComesBackUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watermark, m := drawMeta(t)
		text, dropped := mustEncode(t, watermark, m, 1<<20)
		if dropped != (Dropped{}) {
			t.Fatalf("dropped %+v of what fits", dropped)
		}
		if got := mustDecode(t, watermark, text); !reflect.DeepEqual(got, m) {
			t.Fatalf("got  %+v\nwant %+v\n%s", got, m, text)
		}
	})
}

func TestWhatDoesNotFitIsCutAtTheHighEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watermark, m := drawMeta(t)
		limit := rapid.OneOf(rapid.IntRange(MinLimit, 300), rapid.IntRange(MinLimit, DefaultLimit)).Draw(t, "limit")
		text, dropped := mustEncode(t, watermark, m, limit)
		requireCut(t, watermark, m, mustDecode(t, watermark, text), dropped)
	})
}

// requireCut checks that got is m without high offsets, and dropped what is missing.
func requireCut(t rapid.TB, watermark int64, m, got Meta, dropped Dropped) {
	t.Helper()
	if got.Token != m.Token || got.TopicID != m.TopicID || got.Clean != m.Clean || got.Unclean != m.Unclean {
		t.Fatalf("got %+v\nwant %+v: what must always fit differs", got, m)
	}
	if got.CompleteUpTo < watermark || got.CompleteUpTo > m.CompleteUpTo {
		t.Fatalf("complete up to %d, want from %d to %d", got.CompleteUpTo, watermark, m.CompleteUpTo)
	}
	if want := clip(watermark, got.CompleteUpTo, m.Ahead); !slices.Equal(got.Ahead, want) {
		t.Fatalf("below %d got runs %v\nwant %v", got.CompleteUpTo, got.Ahead, want)
	}
	missing := offsetsIn(m.Ahead) - offsetsIn(got.Ahead)
	if dropped.Ahead != missing {
		t.Fatalf("%d offsets are missing, %d counted", missing, dropped.Ahead)
	}
	if !slices.Equal(got.Attempts, m.Attempts[:len(got.Attempts)]) || dropped.Attempts != len(m.Attempts)-len(got.Attempts) {
		t.Fatalf("got attempts %v and %d dropped\nwant the lowest of %v", got.Attempts, dropped.Attempts, m.Attempts)
	}
	if len(got.Extra)+dropped.Extra != len(m.Extra) {
		t.Fatalf("%d extra fields of %d, %d counted as dropped", len(got.Extra), len(m.Extra), dropped.Extra)
	}
}

func offsetsIn(runs []Run) int64 {
	var n int64
	for _, run := range runs {
		n += run.To - run.From
	}
	return n
}

// Half of a window of 100,000 records done at random: far more than fits. What
// is kept is a prefix, all of it is true, and it is as much as a bitmap can say.
func TestHalfOfAWideWindow(t *testing.T) {
	const n, start = 100_000, 5_000_000
	random := rand.New(rand.NewPCG(11, 12))
	r := NewRing(start)
	slots, err := r.AppendN(sequence(start, n), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make([]bool, n)
	for i := 1; i < n; i++ {
		if random.IntN(2) == 0 {
			slots[i].Done()
			done[i] = true
		}
	}
	for _, maxRuns := range []int{0, MaxRuns(DefaultLimit)} {
		s := new(Snapshot)
		r.Snapshot(s, maxRuns)
		m := Meta{Token: 9, TopicID: someTopic, CompleteUpTo: s.CompleteUpTo, Ahead: s.Runs}
		for i := range 100 {
			m.Attempts = append(m.Attempts, Attempt{start + int64(i)*500, 3})
		}
		text, dropped := mustEncode(t, s.Watermark, m, DefaultLimit)
		got := mustDecode(t, s.Watermark, text)
		requireCut(t, s.Watermark, m, got, dropped)
		if len(got.Attempts) != 100 {
			t.Errorf("%d attempts kept, want all: they fit into their share", len(got.Attempts))
		}
		if width := got.CompleteUpTo - start; width < 20_000 {
			t.Errorf("complete for %d offsets only", width)
		}
		skip, kept := NewSkip(got), 0
		for i, was := range done {
			offset := int64(start + i)
			is := skip.Done(offset)
			if is && !was {
				t.Fatalf("offset %d counts as done and is not", offset)
			}
			if was && !is && offset < got.CompleteUpTo {
				t.Fatalf("offset %d is forgotten below %d", offset, got.CompleteUpTo)
			}
			if is {
				kept++
			}
		}
		if kept < 10_000 || s.Ahead-s.Unlisted != kept+int(dropped.Ahead) {
			t.Errorf("kept %d and dropped %d of %d listed", kept, dropped.Ahead, s.Ahead-s.Unlisted)
		}
	}
}

func TestTheShorterFormIsTaken(t *testing.T) {
	for _, c := range []struct {
		name string
		runs []Run
		tag  string
	}{
		{"one long run", []Run{{101, 100_000}}, tagRuns},
		{"every other", []Run{{101, 102}, {103, 104}, {105, 106}, {107, 108}}, tagBitmap},
	} {
		text, dropped := mustEncode(t, 100, Meta{CompleteUpTo: 100_000, Ahead: c.runs}, DefaultLimit)
		if !strings.Contains(text, ";"+c.tag+"=") || dropped != (Dropped{}) {
			t.Errorf("%s: %s, dropped %+v, want field %q", c.name, text, dropped, c.tag)
		}
	}
}

func TestOneStuckRecordTakesFewCharacters(t *testing.T) {
	text, _ := mustEncode(t, 1<<40, Meta{Token: 1 << 40, TopicID: someTopic, CompleteUpTo: 1<<40 + 100_000,
		Ahead: []Run{{1<<40 + 1, 1<<40 + 100_000}}}, DefaultLimit)
	if len(text) > 110 {
		t.Errorf("%d characters: %s", len(text), text)
	}
}

func TestAttemptsHaveAShareAndWhatIsLeft(t *testing.T) {
	m := Meta{CompleteUpTo: 1 << 20}
	for o := int64(1); o < 1<<20; o += 2 {
		m.Ahead = append(m.Ahead, Run{o, o + 1})
	}
	for o := int64(0); o < 8000; o += 2 {
		m.Attempts = append(m.Attempts, Attempt{o, 1})
	}
	size := func(text, tag string) int {
		for part := range strings.SplitSeq(text, ";") {
			if strings.HasPrefix(part, tag+"=") {
				return len(part) + 1
			}
		}
		return 0
	}
	text, dropped := mustEncode(t, 0, m, DefaultLimit)
	if got := size(text, tagAttempts); got < 500 || got > 516 {
		t.Errorf("attempts take %d characters beside full done-ahead, want their 512", got)
	}
	if dropped.Attempts == 0 || dropped.Ahead == 0 || len(text) < DefaultLimit-8 {
		t.Errorf("dropped %+v in %d characters", dropped, len(text))
	}
	m.Ahead = nil
	text, dropped = mustEncode(t, 0, m, DefaultLimit)
	if got := size(text, tagAttempts); got < 3900 || dropped.Attempts == 0 {
		t.Errorf("attempts take %d characters without done-ahead, want the rest too; dropped %+v", got, dropped)
	}
}

func TestTheLowestLimitCarriesTheToken(t *testing.T) {
	const watermark = math.MaxInt64 - 1000
	m := Meta{Present: true, Token: math.MinInt64, TopicID: someTopic, Clean: true, Unclean: math.MaxInt,
		CompleteUpTo: math.MaxInt64, Ahead: []Run{{watermark + 1, math.MaxInt64}},
		Attempts: []Attempt{{watermark, 5}, {watermark + 999, math.MaxInt32}}, Extra: []Field{{"p2", strings.Repeat("x", 100)}}}
	text, dropped := mustEncode(t, watermark, m, MinLimit)
	if dropped.Ahead != 999 || dropped.Extra != 1 || dropped.Attempts != 1 {
		t.Errorf("dropped %+v, want everything but the lowest attempt", dropped)
	}
	m.Unclean = math.MaxInt32 // as high as it goes
	requireCut(t, watermark, m, mustDecode(t, watermark, text), dropped)
}

func TestEncodeLeavesOutWhatIsSettled(t *testing.T) {
	m := Meta{CompleteUpTo: 50,
		Ahead:    []Run{{1, 5}, {8, 12}, {12, 15}, {20, 30}, {45, 60}, {70, 80}},
		Attempts: []Attempt{{40, 2}, {9, 9}, {10, 0}, {11, 3}, {40, 7}, {math.MaxInt64, 1}}}
	text, dropped := mustEncode(t, 10, m, DefaultLimit)
	got := mustDecode(t, 10, text)
	if want := []Run{{10, 15}, {20, 30}, {45, 50}}; !slices.Equal(got.Ahead, want) {
		t.Errorf("runs %v, want %v", got.Ahead, want)
	}
	if want := []Attempt{{11, 3}, {40, 7}}; !slices.Equal(got.Attempts, want) || dropped != (Dropped{}) {
		t.Errorf("attempts %v, dropped %+v, want %v", got.Attempts, dropped, want)
	}
}

func TestEncodeRefusesWhatNoSnapshotSays(t *testing.T) {
	for _, c := range []struct {
		name      string
		watermark int64
		m         Meta
		limit     int
		says      string
	}{
		{"limit", 0, Meta{}, MinLimit - 1, "offset.metadata.max.bytes"},
		{"watermark", -1, Meta{}, DefaultLimit, "not an offset"},
		{"overlap", 0, Meta{Ahead: []Run{{1, 5}, {4, 6}}}, DefaultLimit, "sorted and apart"},
		{"empty run", 0, Meta{Ahead: []Run{{5, 5}}}, DefaultLimit, "empty"},
		{"known tag", 0, Meta{Extra: []Field{{"t", "1"}}}, DefaultLimit, "extra field"},
		{"bad tag", 0, Meta{Extra: []Field{{"T", "1"}}}, DefaultLimit, "extra field"},
		{"no tag", 0, Meta{Extra: []Field{{"", "1"}}}, DefaultLimit, "extra field"},
		{"bad value", 0, Meta{Extra: []Field{{"p2", "a;b"}}}, DefaultLimit, "extra field"},
	} {
		if text, _, err := Encode(c.watermark, c.m, c.limit); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, error %v, want one with %q", c.name, text, err, c.says)
		}
	}
}

func TestNoMetadata(t *testing.T) {
	m, err := Decode(5, "")
	if err != nil || !reflect.DeepEqual(m, Meta{}) {
		t.Errorf("%+v, %v", m, err)
	}
	if NewSkip(m).Done(7) || NewSkip(m).Attempts(7) != 0 || NewSkip(m).End() != 0 {
		t.Error("the Skip of no metadata knows something")
	}
}

func TestForeignMetadata(t *testing.T) {
	for _, s := range []string{" ", "x", "orderly", "orderly;t=1", "Orderly1;", "NO_METADATA", "bMTAw", "{\"v\":1}", "\x00\xff", "orderlyness"} {
		if m, err := Decode(0, s); !errors.Is(err, ErrForeign) || m.Present {
			t.Errorf("%q: %+v, %v, want ErrForeign", s, m, err)
		}
	}
}

func TestNewerMetadata(t *testing.T) {
	for _, s := range []string{"orderly2;", "orderly2", "orderly10|some other form"} {
		var newer *NewerError
		if _, err := Decode(0, s); !errors.As(err, &newer) || newer.Version < 2 {
			t.Errorf("%q: %v, want a NewerError", s, err)
		}
	}
}

// Metadata that a mirror carried to another cluster, beside a translated offset,
// must not make records there count as done.
func TestMetadataAtAnotherOffset(t *testing.T) {
	text, _ := mustEncode(t, 100, Meta{Token: 7, TopicID: someTopic, Clean: true, Unclean: 1, CompleteUpTo: 200,
		Ahead: []Run{{101, 200}}, Attempts: []Attempt{{100, 2}}, Extra: []Field{{"p2", "x"}}}, DefaultLimit)
	for _, at := range []int64{0, 99, 101, 150, 5000} {
		m, err := Decode(at, text)
		var moved *MovedError
		if !errors.As(err, &moved) || *moved != (MovedError{Written: 100, Committed: at}) {
			t.Fatalf("at %d: %v, want a MovedError", at, err)
		}
		want := Meta{Present: true, Token: 7, TopicID: someTopic, Extra: []Field{{"p2", "x"}}}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("at %d: %+v, want %+v", at, m, want)
		}
	}
}

// Every change of one character and every truncation is seen.
func TestDamagedMetadata(t *testing.T) {
	text, _ := mustEncode(t, 100, Meta{Token: 7, TopicID: someTopic, Clean: true, CompleteUpTo: 200,
		Ahead: []Run{{101, 150}, {160, 200}}, Attempts: []Attempt{{100, 2}}, Extra: []Field{{"p2", "x"}}}, DefaultLimit)
	notRead := func(s string) {
		t.Helper()
		var damaged *DamagedError
		var newer *NewerError
		m, err := Decode(100, s)
		if s == "" && err == nil && !m.Present {
			return
		}
		if !errors.As(err, &damaged) && !errors.As(err, &newer) && !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v, want an error", s, err)
		}
		if !reflect.DeepEqual(m, Meta{}) {
			t.Errorf("%q: %+v, want nothing from it", s, m)
		}
	}
	for i := range len(text) {
		notRead(text[:i])
		for _, c := range []byte{'0', 'A', ';', '=', ' ', 0, 0xff} {
			if text[i] != c {
				notRead(text[:i] + string(rune(c)) + text[i+1:])
			}
		}
	}
	notRead(text + "x")
	notRead(text + text)
}

func lengths(of ...uint64) string {
	var raw []byte
	for _, n := range of {
		raw = binary.AppendUvarint(raw, n)
	}
	return base64.RawStdEncoding.EncodeToString(raw)
}

// Damage that a right checksum does not show: wrong meaning.
func TestMeaningIsChecked(t *testing.T) {
	const max63 = "9223372036854775807"
	for _, c := range []struct{ body, field, says string }{
		{"orderly1", "w", "missing"},
		{"orderly1;w=100", "t", "missing"},
		{"orderly1;t=1", "w", "missing"},
		{"orderly1;t=1;w=-1", "w", "out of range"},
		{"orderly1;t=1;w=007", "w", "not a number"},
		{"orderly1;t=+1;w=100", "t", "not a number"},
		{"orderly1;t=92233720368547758070;w=100", "t", "not a number"},
		{"orderly1;t=1;w=100;w=100", "w", "twice"},
		{"orderly1;t=1;w=100;c=2", "c", "out of range"},
		{"orderly1;t=1;w=100;n=0", "n", "out of range"},
		{"orderly1;t=1;w=100;n=2147483648", "n", "out of range"},
		{"orderly1;t=1;w=100;i=AAAA", "i", "16 bytes"},
		{"orderly1;t=1;w=100;i=====", "i", "base64"},
		{"orderly1;t=1;w=100;u=-5", "u", "out of range"},
		{"orderly1;t=1;w=100;u=" + max63, "u", "out of range"},
		{"orderly1;t=1;w=100;b=Ag", "b", "beyond"},                  // one done, no u
		{"orderly1;t=1;w=100;u=1;b=Ag", "b", "beyond"},              // 101, complete up to 101
		{"orderly1;t=1;w=100;u=7;b=gA", "b", "beyond"},              // 107, complete up to 107
		{"orderly1;t=1;w=100;u=4;r=AQQ", "r", "beyond"},             // [101, 105)
		{"orderly1;t=1;w=100;u=9;r=AQ", "r", "missing or too long"}, // an odd number
		{"orderly1;t=1;w=100;u=9;r=gA", "r", "missing or too long"},
		{"orderly1;t=1;w=100;u=9;r=////////////////", "r", "missing or too long"},
		{"orderly1;t=1;w=100;u=9;r=AQA", "r", "zero"},
		{"orderly1;t=1;w=100;u=9;r=AQEAAQ", "r", "zero"},
		{"orderly1;t=1;w=100;u=9;r=" + lengths(1, 1<<63-101), "r", "beyond"},
		{"orderly1;t=1;w=100;u=9;r=AR", "r", "base64"}, // bits left over
		{"orderly1;t=1;w=100;u=9;r=AQE;b=Ag", "b", "twice"},
		{"orderly1;t=1;w=100;a=AAA", "a", "out of range"},
		{"orderly1;t=1;w=100;a=AA", "a", "missing or too long"},
		{"orderly1;t=1;w=100;a=AAEAAQ", "a", "out of range"},
		{"orderly1;t=1;w=" + max63 + ";a=AAE", "a", "out of range"},
		{"orderly1;t=1;w=100;", "", "not ;tag=value"},
		{"orderly1;t=1;w=100;x", "", "not ;tag=value"},
		{"orderly1;t=1;w=100;X=1", "", "not ;tag=value"},
		{"orderly1;t=1;w=100;p2=a b", "", "not ;tag=value"},
		{"orderly1t=1;w=100", "", "not ;tag=value"},
		{"orderly1;t=1;w=100;k=00000000", "k", "not the last field"},
		{"orderly0;t=1;w=100", "", "version"},
		{"orderly01;t=1;w=100", "", "version"},
		{"orderly99999999999999999999;t=1;w=100", "", "version"},
	} {
		m, err := Decode(100, string(appendChecksum([]byte(c.body))))
		var damaged *DamagedError
		if !errors.As(err, &damaged) || damaged.Field != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a DamagedError of field %q with %q", c.body, err, c.field, c.says)
		} else if damaged.At < len(magic) || damaged.At > len(c.body) {
			t.Errorf("%s: damage after %d characters", c.body, damaged.At)
		}
		if !reflect.DeepEqual(m, Meta{}) {
			t.Errorf("%s: %+v, want nothing from it", c.body, m)
		}
	}
}

// A release that knows a field finds it again after one that did not.
func TestUnknownFieldsAreWrittenBack(t *testing.T) {
	text := string(appendChecksum([]byte("orderly1;zz=later;t=3;w=100;parked=1;p2=AAEC/+=;p2=")))
	m := mustDecode(t, 100, text)
	want := []Field{{"zz", "later"}, {"parked", "1"}, {"p2", "AAEC/+="}, {"p2", ""}}
	if !slices.Equal(m.Extra, want) {
		t.Fatalf("extra %v, want %v", m.Extra, want)
	}
	again, dropped := mustEncode(t, 250, m, DefaultLimit)
	if got := mustDecode(t, 250, again); !slices.Equal(got.Extra, want) || dropped.Extra != 0 {
		t.Errorf("extra %v after writing back, want %v", got.Extra, want)
	}
}

// A hostile text may ask for three runs with six bits, not for more.
func TestDecodingTakesMemoryByLength(t *testing.T) {
	raw := strings.Repeat("VVVV", 1000) // 010101…
	text := string(appendChecksum([]byte("orderly1;t=1;w=0;u=9223372036854775807;b=" + raw)))
	m := mustDecode(t, 0, text)
	if len(m.Ahead) != 12_000 || cap(m.Ahead) > 24_000 {
		t.Errorf("%d runs, room for %d", len(m.Ahead), cap(m.Ahead))
	}
	text = string(appendChecksum([]byte("orderly1;t=1;w=0;u=9223372036854775807;r=" + lengths(1, 1<<63-2))))
	if m := mustDecode(t, 0, text); !slices.Equal(m.Ahead, []Run{{1, math.MaxInt64}}) {
		t.Errorf("%v, want one run to the end", m.Ahead)
	}
}
