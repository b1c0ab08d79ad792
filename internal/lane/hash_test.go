package lane

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"testing"
)

// Stored lane numbers depend on these values: another function needs another
// HashVersion.
func TestHashVersion1(t *testing.T) {
	if HashVersion != 1 {
		t.Fatalf("HashVersion is %d; these are the values of 1", HashVersion)
	}
	golden := map[string]uint64{
		"":                                     0x2aa9dd3fa7968b13,
		"a":                                    0x6d2c15f39dc8ea44,
		"b":                                    0xc46e39cbbb124f35,
		"ab":                                   0xff63818f62d23c2e,
		"ba":                                   0x9ead5f0851ab9edb,
		"1":                                    0x6f1099aa42f29b45,
		"2":                                    0xd94da814683e7b41,
		"10":                                   0x29104e520ea8efdb,
		"customer":                             0x72737db8cf129a31,
		"customer-42":                          0xdf7a037b7dacaea2,
		"24-remotsuc":                          0x377fcf1c29b181d4,
		"0123456":                              0x57f6d821304acc17,
		"01234567":                             0x016e5aef444cf1ab,
		"012345678":                            0x4c39d85ba2221699,
		"\x00":                                 0xbb221b5d842f5e9b,
		"\x00\x00":                             0x13919853e417b386,
		"\x00\x00\x00\x00\x00\x00\x00\x00":     0xafd3b7cc1c6eac30,
		"f47ac10b-58cc-4372-a567-0e02b2c3d479": 0x55656471c27cb13a,
		"żółw":                                 0x39a37522c6c0d714,
	}
	for key, want := range golden {
		if got := Hash([]byte(key)); got != want {
			t.Errorf("%q: 0x%016x,", key, got)
		}
	}
	if Hash(nil) != Hash([]byte{}) || Hash(nil) == NullHash {
		t.Error("the empty key has one hash, and it is not the null key's")
	}
}

// All kinds of keys that people use spread over the lanes as chance would.
func TestHashSpreads(t *testing.T) {
	const n = 40_000
	kinds := map[string]func(i int) []byte{
		"numbers":    func(i int) []byte { return []byte(fmt.Sprint(i)) },
		"padded":     func(i int) []byte { return fmt.Appendf(nil, "%012d", i) },
		"big-endian": func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) },
		"little":     func(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(i)) },
		"thousands":  func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(i)*1024) },
		"prefixes":   func(i int) []byte { return []byte(strings.Repeat("a", i)) },
		"zeros":      func(i int) []byte { return make([]byte, i) },
		"prefixed":   func(i int) []byte { return fmt.Appendf(nil, "customer/eu-west-1/%d", i) },
		"suffixed":   func(i int) []byte { return fmt.Appendf(nil, "%d@example.com", i) },
		"anagrams": func(i int) []byte { // the i-th arrangement of nine different bytes
			rest := []byte("abcdefghi")
			var key []byte
			for len(rest) > 0 {
				j := i % len(rest)
				i /= len(rest)
				key = append(key, rest[j])
				rest = append(rest[:j], rest[j+1:]...)
			}
			return key
		},
		"exchanged words": func(i int) []byte {
			b := make([]byte, 24)
			b[i%24]++
			b[i/24%24] += 2
			b[i/576%24] += 4
			b[i/13824%24] += 8
			return b
		},
	}
	for name, key := range kinds {
		n := n
		if name == "prefixes" || name == "zeros" {
			n = 4000
		}
		seen := make(map[uint64]string, n)
		keys := make(map[string]bool, n)
		for i := range n {
			k := key(i)
			if keys[string(k)] {
				continue
			}
			keys[string(k)] = true
			h := Hash(k)
			if other, ok := seen[h]; ok {
				t.Errorf("%s: %q and %q have one hash", name, other, k)
			}
			seen[h] = string(k)
		}
		for _, lanes := range []uint64{7, 64, 1000} {
			counts := make([]float64, lanes)
			for h := range seen {
				counts[h%lanes]++
			}
			mean := float64(len(seen)) / float64(lanes)
			chi := 0.0
			for _, c := range counts {
				chi += (c - mean) * (c - mean) / mean
			}
			// Chi-square has mean l-1 and variance 2(l-1); 6 deviations are far out.
			free := float64(lanes - 1)
			if d := chi - free; d*d > 36*2*free && d > 0 {
				t.Errorf("%s over %d lanes: chi-square %.0f, expected about %.0f", name, lanes, chi, free)
			}
		}
	}
}

// Each bit of a key changes half of the hash.
func TestHashAvalanche(t *testing.T) {
	for _, size := range []int{1, 4, 7, 8, 9, 16, 23, 36} {
		key := make([]byte, size)
		for i := range key {
			key[i] = byte(i*37 + size)
		}
		base := Hash(key)
		total := 0
		for bit := range 8 * size {
			key[bit/8] ^= 1 << (bit % 8)
			flipped := bits.OnesCount64(base ^ Hash(key))
			key[bit/8] ^= 1 << (bit % 8)
			total += flipped
			if flipped < 10 || flipped > 54 {
				t.Errorf("%d bytes: bit %d changes %d bits of 64", size, bit, flipped)
			}
		}
		if mean := float64(total) / float64(8*size); mean < 28 || mean > 36 {
			t.Errorf("%d bytes: a bit changes %.1f bits of 64 on average", size, mean)
		}
	}
}
