package lane

import "math/bits"

// HashVersion names the function Hash. It is stored wherever a lane number is
// stored, so that a later release can tell that keys moved between lanes.
const HashVersion = 1

// Hash is H(ordering key): fixed, never seeded per process, so that the lane of
// a key is the same in every process and release with the same HashVersion.
// FNV-1a over 8-byte words with a strong finish: anagrams, prefixes and
// consecutive numbers spread (a sum of bytes does not: other libraries route
// all anagrams of a key to one worker).
func Hash(key []byte) uint64 {
	const (
		offset = 0xcbf29ce484222325
		prime  = 0x9e3779b97f4a7c15
	)
	h := uint64(offset) ^ uint64(len(key))*prime
	for len(key) >= 8 {
		w := uint64(key[0]) | uint64(key[1])<<8 | uint64(key[2])<<16 | uint64(key[3])<<24 |
			uint64(key[4])<<32 | uint64(key[5])<<40 | uint64(key[6])<<48 | uint64(key[7])<<56
		h = mix(h ^ w)
		key = key[8:]
	}
	var tail uint64
	for i, b := range key {
		tail |= uint64(b) << (8 * i)
	}
	return mix(h ^ tail ^ prime)
}

// mix is a multiply-fold: every bit of the input reaches every bit of the
// output.
func mix(x uint64) uint64 {
	x ^= x >> 32
	hi, lo := bits.Mul64(x, 0xd6e8feb86659fd93)
	x = hi ^ lo
	x ^= x >> 29
	hi, lo = bits.Mul64(x^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

// NullHash is the unit of records without a key: one sequence per partition,
// distinct from the empty key's.
const NullHash = 0x6e756c6c6b657921
