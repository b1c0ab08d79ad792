package proxy

import "testing"

// What a client writes may be anything: nothing at all, half a document, a string.
func TestNumbersOfAnyValue(t *testing.T) {
	for value, want := range map[string]int64{
		``: -1, `{`: -1, `{"n":`: -1, `"`: -1, `{"n":"x"}`: -1, `[1]`: -1, "\x00": -1, `{"n":7}`: 7, `{"n":"8"}`: 8,
	} {
		id, err := NumberAt(".n")
		if err != nil {
			t.Fatal(err)
		}
		_, n, ok := id("t", &Record{Key: []byte("k"), Value: []byte(value)})
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v", value, n, ok)
		}
	}
	id, _ := NumberAt(".")
	if _, _, ok := id("t", &Record{Key: []byte("k")}); ok {
		t.Error("a record without a value has a number")
	}
}
