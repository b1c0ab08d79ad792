package proxy

import (
	"encoding/binary"
	"errors"
)

var errShort = errors.New("the message ends before its last field, or a length in it is wrong")

// A cursor reads a message from front to back without copying it. After a read
// past the end it is bad and gives zeros.
type cursor struct {
	buf []byte
	at  int
	bad bool
}

func (c *cursor) span(n int) []byte {
	if c.bad || n < 0 || n > len(c.buf)-c.at {
		c.bad = true
		return nil
	}
	s := c.buf[c.at : c.at+n : c.at+n]
	c.at += n
	return s
}

func (c *cursor) skip(n int) { c.span(n) }

func (c *cursor) int16() int16 {
	if b := c.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.span(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) uuid() (id [16]byte) {
	copy(id[:], c.span(16))
	return id
}

func (c *cursor) uvarint() uint64 {
	if c.bad {
		return 0
	}
	v, n := binary.Uvarint(c.buf[c.at:])
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.at += n
	return v
}

// varint is a signed one (zigzag), as records use it.
func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// compact is a length in a flexible message: one more than it says, 0 for null (-1).
func (c *cursor) compact() int {
	v := c.uvarint()
	if v > uint64(len(c.buf))+1 {
		c.bad = true
		return 0
	}
	return int(v) - 1
}

// count is the length of a list. It is only a claim: nothing is to be made for it.
func (c *cursor) count(flexible bool) int {
	if flexible {
		return c.compact()
	}
	return int(c.int32())
}

// text is a string, or nil for null.
func (c *cursor) text(flexible bool) []byte {
	n := 0
	if flexible {
		n = c.compact()
	} else {
		n = int(c.int16())
	}
	if n < 0 || c.bad {
		return nil
	}
	return c.span(n)
}

// bytes is a byte field, or nil for null.
func (c *cursor) bytes(flexible bool) []byte {
	n := 0
	if flexible {
		n = c.compact()
	} else {
		n = int(c.int32())
	}
	if n < 0 || c.bad {
		return nil
	}
	return c.span(n)
}

// tags passes over a section of tagged fields.
func (c *cursor) tags(flexible bool) {
	if !flexible {
		return
	}
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		c.uvarint()
		c.skip(c.length())
	}
}

// length is an unsigned length that fits the message.
func (c *cursor) length() int {
	v := c.uvarint()
	if v > uint64(len(c.buf)) {
		c.bad = true
		return 0
	}
	return int(v)
}

func (c *cursor) err() error {
	if c.bad {
		return errShort
	}
	return nil
}
