package produce

import (
	"testing"

	"pgregory.net/rapid"
)

// No number is given twice in one epoch, however often the table is full.
func TestNumbersModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := NewNumbers(rapid.IntRange(1, 4).Draw(t, "limit"))
		type given struct {
			epoch int
			key   string
			n     uint64
		}
		seen := map[given]bool{}
		epoch := 1
		t.Repeat(map[string]func(*rapid.T){
			"next": func(t *rapid.T) {
				k := key(rapid.IntRange(0, 6).Draw(t, "key"))
				number, ok := n.Next(k)
				if !ok {
					epoch++
					n.Reset()
					number, _ = n.Next(k)
				}
				g := given{epoch, name(k), number}
				if number == 0 || seen[g] {
					t.Fatalf("number %+v was given before, or is zero", g)
				}
				seen[g] = true
			},
		})
	})
}
