package guard

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// What is kept elsewhere comes back as it was, and is small; what is cut or damaged is
// refused or another state, and never a panic.
func TestModelEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k Key
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			x := by(rapid.SampledFrom([]string{"", "v", "w", "x", "y", string(make([]byte, 64))}).Draw(t, "writer"),
				rapid.Int64Range(1, 3).Draw(t, "epoch"), rapid.Int64().Draw(t, "n")&(1<<62-1))
			if rapid.Bool().Draw(t, "passed") {
				k.Pass(x)
			} else {
				k.Done(x)
			}
		}
		b := k.Encode()
		if len(b) > 1024 {
			t.Fatalf("%d bytes", len(b))
		}
		got, err := Decode(b)
		if err != nil || !reflect.DeepEqual(normal(got), normal(k)) {
			t.Fatalf("%+v became %+v, %v", k, got, err)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := Decode(b[:cut]); err == nil {
			t.Fatalf("cut at %d of %d it is read", cut, len(b))
		}
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		_, _ = Decode(b)
	})
}

func normal(k Key) Key {
	out := Key{}
	for _, c := range k.clone().Counts {
		if len(c.Gaps) == 0 {
			c.Gaps = nil
		}
		out.Counts = append(out.Counts, c)
	}
	return out
}
