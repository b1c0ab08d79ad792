package progress

import (
	"reflect"
	"slices"
	"testing"
)

// FuzzDecode: no text makes Decode panic; what it accepts is well formed,
// bounded by the text's length, and comes back unchanged from Encode. The
// texts are tried as they are and with a right checksum, else no fuzzer would
// get past it.
func FuzzDecode(f *testing.F) {
	for _, g := range readGolden(f) {
		f.Add(g.Watermark, g.Text)
		f.Add(g.Watermark, g.Text[:len(g.Text)-checksumLen])
	}
	for _, s := range []string{
		"", "orderly", "orderly1", "orderly2;x", "orderly1;k=00000000", "foreign",
		"orderly1;t=1;w=100;u=9223372036854775707;b=VVVVVVVV",
		"orderly1;t=1;w=100;u=9223372036854775707;r=Af///////////38",
		"orderly1;t=1;w=100;u=64;b=/////////w",
		"orderly1;t=-1;w=9223372036854775800;u=7;b=Kg;a=AQEBAQ",
		"orderly1;t=1;w=100;u=9;r=AAEBAQ;zz=kept;zz=twice",
	} {
		f.Add(int64(100), s)
	}
	f.Fuzz(func(t *testing.T, watermark int64, s string) {
		for _, text := range []string{s, string(appendChecksum([]byte(s)))} {
			m, err := Decode(watermark, text)
			if err != nil {
				if err.Error() == "" || len(m.Ahead) > 0 || len(m.Attempts) > 0 || m.CompleteUpTo != 0 {
					t.Fatalf("%+v beside %v", m, err)
				}
				continue
			}
			if !m.Present {
				if text != "" {
					t.Fatalf("%q counts as no metadata", text)
				}
				continue
			}
			requireWellFormed(t, watermark, m, text)
			again, dropped := mustEncode(t, watermark, m, MinLimit+2*len(text))
			if dropped != (Dropped{}) {
				t.Fatalf("dropped %+v\nread    %s\nwritten %s", dropped, text, again)
			}
			if got := mustDecode(t, watermark, again); !reflect.DeepEqual(got, m) {
				t.Fatalf("got  %+v\nwant %+v\nread    %s\nwritten %s", got, m, text, again)
			}
			small, dropped := mustEncode(t, watermark, m, MinLimit)
			requireCut(t, watermark, m, mustDecode(t, watermark, small), dropped)
		}
	})
}

func requireWellFormed(t *testing.T, watermark int64, m Meta, text string) {
	t.Helper()
	if len(m.Ahead)+len(m.Attempts) > MaxRuns(len(text)) {
		t.Fatalf("%d runs and %d attempts from %d characters", len(m.Ahead), len(m.Attempts), len(text))
	}
	at := watermark - 1
	for _, run := range m.Ahead {
		if run.From <= at || run.From >= run.To || run.To > m.CompleteUpTo {
			t.Fatalf("run %v after %d, complete up to %d", run, at, m.CompleteUpTo)
		}
		at = run.To
	}
	increase := func(a, b Attempt) int {
		if a.Offset < b.Offset {
			return -1
		}
		return 1
	}
	if !slices.IsSortedFunc(m.Attempts, increase) || len(m.Attempts) > 0 && m.Attempts[0].Offset < watermark {
		t.Fatalf("attempts %v", m.Attempts)
	}
	if m.CompleteUpTo < watermark {
		t.Fatalf("complete up to %d below the watermark %d", m.CompleteUpTo, watermark)
	}
}
