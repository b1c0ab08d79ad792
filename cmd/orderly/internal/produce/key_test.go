package produce

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "1.0": "1", "10e-1": "1", "0.1E1": "1", "-0": "0", "0.0e5": "0", "-1.50": "-1.5", "100": "100", "1e2": "100",
		"0.00120": "0.0012", "12345678901234567890123": "12345678901234567890123", "1e400": "1e400", "10e399": "1e400", "1e-400": "1e-400",
		"123e37": "123" + strings.Repeat("0", 37), "123e38": "123e38", "1.5e3": "1500", "1500.25": "1500.25",
	} {
		if got, err := canonical([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
}

// Numbers are equal exactly when their keys are, however they are written.
func TestCanonicalIsTheValue(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	keys := map[string]*big.Rat{}
	values := map[string]string{}
	for range 20_000 {
		text := fmt.Sprintf("%s%d", []string{"", "-"}[rng.IntN(2)], rng.IntN(120))
		if rng.IntN(2) == 0 {
			text += fmt.Sprintf(".%0*d", 1+rng.IntN(3), rng.IntN(10))
		}
		if rng.IntN(2) == 0 {
			text += fmt.Sprintf("e%d", rng.IntN(90)-45)
		}
		v, ok := new(big.Rat).SetString(text)
		key, err := canonical([]byte(text))
		if !ok || err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		k := string(key)
		if old, seen := keys[k]; seen && old.Cmp(v) != 0 {
			t.Fatalf("%s has the key %s of another number", text, k)
		}
		if old, seen := values[v.String()]; seen && old != k {
			t.Fatalf("%s has the keys %s and %s", text, old, k)
		}
		keys[k], values[v.String()] = v, k
		if back, ok := new(big.Rat).SetString(k); !ok || back.Cmp(v) != 0 {
			t.Fatalf("%s became %s", text, k)
		}
	}
}

// Escapes that are whole stay what they are.
func TestTextOfEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`"\ud83d\ude00"`: "\U0001f600", `"\\\ud83d\ude00x"`: "\\\U0001f600x", `"\\ud800"`: `\ud800`, `"\ufffd"`: "\ufffd", "\"\ufffd\"": "\ufffd", `"\uFFFD\n"`: "\ufffd\n",
	} {
		if got, err := textOf([]byte(in)); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{`"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\ud83d\ude00"`, `"\uD83Dx"`, `"\\ufffd\udfff"`} {
		if got, err := textOf([]byte(in)); err == nil {
			t.Errorf("%s: %q", in, got)
		}
	}
}
