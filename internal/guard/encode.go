package guard

import (
	"encoding/binary"
	"errors"
	"slices"
)

// encoding is the version of what Encode writes.
const encoding = 1

// Encode is a key's state as bytes, less than a kilobyte: it holds no more writers and
// gaps than are remembered.
func (k *Key) Encode() []byte {
	b := []byte{encoding, byte(len(k.Counts))}
	for _, c := range k.Counts {
		b = binary.AppendUvarint(b, uint64(len(c.Writer)))
		b = append(b, c.Writer...)
		b = binary.AppendVarint(b, c.Epoch)
		b = binary.AppendVarint(b, c.Last)
		b = binary.AppendVarint(b, c.Floor)
		b = append(b, byte(len(c.Gaps)))
		for _, g := range c.Gaps {
			b = binary.AppendVarint(binary.AppendVarint(b, g.From), g.To)
		}
	}
	return b
}

// errEncoding: whoever wrote it was another release, or it is damaged.
var errEncoding = errors.New("guard: the state of a key cannot be read")

// Decode reads what Encode wrote.
func Decode(b []byte) (k Key, err error) {
	if len(b) < 2 || b[0] != encoding || b[1] > maxWriters {
		return Key{}, errEncoding
	}
	counts := int(b[1])
	b = b[2:]
	bad := false
	number := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	for range counts {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size {
			return Key{}, errEncoding
		}
		c := Count{Writer: string(b[n : n+int(size)])}
		b = b[n+int(size):]
		c.Epoch, c.Last, c.Floor = number(), number(), number()
		if bad || len(b) == 0 || b[0] > maxGaps {
			return Key{}, errEncoding
		}
		gaps := int(b[0])
		b = b[1:]
		for range gaps {
			c.Gaps = append(c.Gaps, Span{number(), number()})
		}
		k.Counts = append(k.Counts, c)
	}
	if bad || len(b) > 0 {
		return Key{}, errEncoding
	}
	return k, nil
}

func (k *Key) clone() *Key {
	out := &Key{Counts: slices.Clone(k.Counts)}
	for i := range out.Counts {
		out.Counts[i].Gaps = slices.Clone(out.Counts[i].Gaps)
	}
	return out
}
