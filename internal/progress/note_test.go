package progress

import (
	"math"
	"testing"
)

// A note comes back from the text of the commit that names it, and from no other.
func TestNote(t *testing.T) {
	other := Field{"other", "x"}
	for _, want := range []Note{{0, 1, 2}, {math.MaxInt64, math.MinInt64, math.MaxInt64}} {
		text, dropped, err := Encode(7, Meta{Token: 5, Extra: WithNote([]Field{other}, &want, 5)}, DefaultLimit)
		if err != nil || dropped.Extra > 0 {
			t.Fatal(dropped, err)
		}
		m, err := Decode(7, text)
		if err != nil {
			t.Fatal(err)
		}
		if n := NoteOf(m.Extra, m.Token); n == nil || *n != want {
			t.Errorf("%v became %v", want, n)
		}
		if n := NoteOf(m.Extra, 6); n != nil {
			t.Errorf("under another token it names %v", n)
		}
		if fields := WithNote(m.Extra, nil, 5); len(fields) != 1 || fields[0] != other {
			t.Errorf("without it there are %v", fields)
		}
	}
	for _, v := range []string{"", "1.2.3", "1.2.3.5.", "-1.2.3.5", "01.2.3.5", "1.2.3.5x", "x"} {
		if n := NoteOf([]Field{{tagNote, v}}, 5); n != nil {
			t.Errorf("%q names %v", v, n)
		}
	}
}
