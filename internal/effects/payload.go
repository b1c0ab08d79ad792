package effects

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/parking"
)

// payloadVersion is that of the form in which a parked record is kept.
const payloadVersion = 1

// A Payload is what is kept of a parked record, beside its key and its failure.
type Payload struct {
	Timestamp int64 // of the source record, in milliseconds
	parking.Record
}

// Encode returns the payload's bytes: the version, the timestamp, key, value, and the
// headers; before each piece of bytes its length plus one, 0 for one that is nil.
func (p *Payload) Encode() []byte {
	n := 32 + len(p.Key) + len(p.Value)
	for _, h := range p.Headers {
		n += len(h.Key) + len(h.Value) + 8
	}
	b := append(make([]byte, 0, n), payloadVersion)
	b = binary.AppendVarint(b, p.Timestamp)
	b = appendPiece(b, p.Key)
	b = appendPiece(b, p.Value)
	b = binary.AppendUvarint(b, uint64(len(p.Headers)))
	for _, h := range p.Headers {
		b = appendPiece(b, []byte(h.Key))
		b = appendPiece(b, h.Value)
	}
	return b
}

func appendPiece(b, piece []byte) []byte {
	if piece == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(piece))+1), piece...)
}

var errPayload = errors.New("effects: the payload of a parked record is damaged")

// DecodePayload reads what Encode wrote.
func DecodePayload(b []byte) (p Payload, err error) {
	if len(b) == 0 {
		return p, errPayload
	}
	if b[0] != payloadVersion {
		return p, fmt.Errorf("effects: the payload of a parked record has version %d and this release reads %d: run the newer release", b[0], payloadVersion)
	}
	r := reader{b: b[1:]}
	p.Timestamp = r.varint()
	p.Key, p.Value = r.piece(), r.piece()
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p.Headers = append(p.Headers, parking.Header{Key: string(r.piece()), Value: r.piece()})
	}
	if r.bad || len(r.b) > 0 {
		return Payload{}, errPayload
	}
	return p, nil
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) skip(n int) {
	if r.bad = r.bad || n <= 0; !r.bad {
		r.b = r.b[n:]
	}
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *reader) piece() []byte {
	n := r.uvarint()
	if n == 0 || r.bad {
		return nil
	}
	if n--; n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	piece := append([]byte{}, r.b[:n]...)
	r.b = r.b[n:]
	return piece
}
