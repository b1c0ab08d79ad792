package parking

import (
	"math"
	"testing"

	"github.com/orderly-go/orderly/internal/progress"
	"pgregory.net/rapid"
)

// The guard travels in the metadata of a commit, through a release that does not
// know it too.
func TestTheGuardComesBack(t *testing.T) {
	const golden = "01020300000000000000000000000000.42.1"
	g := Guard{TopicID: TopicID{1, 2, 3}, Trim: 42, Holds: true}
	if f := g.Field(); f.Tag != "parking" || f.Value != golden {
		t.Errorf("written %+v", f)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Guard{Trim: rapid.Int64Range(0, math.MaxInt64-1).Draw(t, "trim"), Holds: rapid.Bool().Draw(t, "holds")}
		copy(want.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		text, dropped, err := progress.Encode(math.MaxInt64, progress.Meta{Token: math.MinInt64, TopicID: [16]byte{9}, Clean: true, Extra: []progress.Field{want.Field()}}, progress.MinLimit+GuardSize)
		if err != nil || dropped.Extra > 0 {
			t.Fatal(err, dropped)
		}
		m, err := progress.Decode(math.MaxInt64, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := GuardOf(m.Extra); err != nil || got == nil || *got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	})
	if g, err := GuardOf([]progress.Field{{Tag: "other", Value: "x"}}); g != nil || err != nil {
		t.Errorf("none: %+v, %v", g, err)
	}
	field := func(v string) progress.Field { return progress.Field{Tag: GuardTag, Value: v} }
	for _, fields := range [][]progress.Field{
		{field("")}, {field("x.1.1")}, {field(golden + ".0")}, {field("01020300000000000000000000000000.-1.1")},
		{field("01020300000000000000000000000000.042.1")}, {field("01020300000000000000000000000000.42.2")},
		{field("0102030000000000000000000000000g.42.1")}, {field(golden), field(golden)},
	} {
		if g, err := GuardOf(fields); err == nil {
			t.Errorf("%v is taken for %+v", fields, g)
		}
	}
}
