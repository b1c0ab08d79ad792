package kafkatest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Metadata, version 1, with an empty list of topics: all brokers since 0.10 know
// it, and it is the same bytes each time. By hand, because this package must not
// import the client whose behaviour it helps to test.
var metadataRequest = slices.Concat(
	[]byte{0, 0, 0, 21}, // size of what follows
	[]byte{0, 3, 0, 1},  // Metadata, version 1
	[]byte{0, 0, 0, 7},  // correlation id
	[]byte{0, 7}, []byte("orderly"),
	[]byte{0, 0, 0, 0}, // no topics
)

// liveBrokers asks a broker for the nodes that it knows to be alive.
func liveBrokers(ctx context.Context, addr string) ([]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	// A cancelled ctx must not wait for a broker that accepts and never answers.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(metadataRequest); err != nil {
		return nil, err
	}
	var size int32
	if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
		return nil, err
	}
	if size < 8 || size > 1<<20 {
		return nil, fmt.Errorf("%s does not speak Kafka: a response of %d bytes", addr, size)
	}
	response := make([]byte, size)
	if _, err := io.ReadFull(conn, response); err != nil {
		return nil, err
	}
	return parseBrokers(response)
}

func parseBrokers(response []byte) ([]int, error) {
	r := &reader{Reader: bytes.NewReader(response)}
	r.int32() // correlation id
	var ids []int
	for range r.int32() {
		id := r.int32()
		r.string() // host
		r.int32()  // port
		r.string() // rack
		if r.err != nil {
			return nil, fmt.Errorf("a Metadata response of %d bytes: %w", len(response), r.err)
		}
		ids = append(ids, int(id))
	}
	return ids, r.err
}

// A reader reads the protocol's types; the first error stays.
type reader struct {
	*bytes.Reader
	err error
}

func (r *reader) int32() (v int32) { r.read(&v); return v }

// string reads a string that may be null: its length is then -1.
func (r *reader) string() {
	var n int16
	r.read(&n)
	r.read(make([]byte, max(n, 0)))
}

func (r *reader) read(v any) {
	if r.err == nil {
		r.err = binary.Read(r.Reader, binary.BigEndian, v)
	}
}
