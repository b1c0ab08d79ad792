package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A frame that says it is larger is none of Kafka's: no broker takes or sends one
// of this size with any usual setting (the default limit is 100 MiB).
const maxFrame = 256 << 20

// grow is how much of a frame is believed before its bytes have come.
const grow = 1 << 20

// readFrame reads a frame; what is returned has not the four bytes of its length.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(head[:]))
	if n < 0 || n > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes: this is not Kafka's protocol (is one side TLS, and the other not?)", uint32(n))
	}
	if n <= grow {
		frame := make([]byte, n)
		_, err := io.ReadFull(r, frame)
		return frame, noEOF(err)
	}
	var b bytes.Buffer
	b.Grow(grow)
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, noEOF(err)
	}
	return b.Bytes(), nil
}

// noEOF tells an end inside of a frame from one between frames.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeFrame writes a frame in one piece.
func writeFrame(w io.Writer, frame []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(frame)))
	if len(frame) > 16<<10 {
		if _, err := w.Write(head[:]); err != nil {
			return err
		}
		_, err := w.Write(frame)
		return err
	}
	_, err := w.Write(append(head[:], frame...))
	return err
}

// A request is a frame of a client, read as far as its header.
type request struct {
	key, version int16
	correlation  int32
	client       string
	frame        []byte
	body         int // where it begins in frame
}

func (r *request) name() string { return kmsg.NameForKey(r.key) }

func (r *request) flexible() bool { return flexible(r.key, r.version) }

func parseRequest(frame []byte) (request, error) {
	c := cursor{buf: frame}
	r := request{key: c.int16(), version: c.int16(), correlation: c.int32(), frame: frame}
	r.client = string(c.text(false))
	c.tags(r.flexible())
	r.body = c.at
	return r, c.err()
}

// answerBody is where the body of the answer begins; -1 when it has none.
func (r *request) answerBody(frame []byte) int {
	c := cursor{buf: frame}
	c.skip(4)
	c.tags(r.flexible() && r.key != apiVersions) // which clients read before they know the version
	if c.bad {
		return -1
	}
	return c.at
}

// answer begins a frame that answers r.
func (r *request) answer(resp kmsg.Response) []byte {
	dst := binary.BigEndian.AppendUint32(nil, uint32(r.correlation))
	if r.flexible() && r.key != apiVersions {
		dst = append(dst, 0)
	}
	resp.SetVersion(r.version)
	return resp.AppendTo(dst)
}

// correlationOf is the number that ties an answer to its request.
func correlationOf(frame []byte) int32 {
	c := cursor{buf: frame}
	return c.int32()
}
