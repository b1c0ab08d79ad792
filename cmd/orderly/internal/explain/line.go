package explain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine is what is kept of a line; the rest of a longer one is not read into
// memory.
const maxLine = 64 << 10

// An InputError is input that is not a log in text.
type InputError struct{ Name, Problem string }

func (e *InputError) Error() string { return e.Name + ": " + e.Problem }

// Lines cuts an input into lines, in bounded memory.
type Lines struct {
	name  string
	r     *bufio.Reader
	buf   []byte
	begun bool

	// Cut is the number of lines of which the end was left out.
	Cut int64
}

// NewLines reads from r; name is what errors call it.
func NewLines(name string, r io.Reader) *Lines {
	return &Lines{name: name, r: bufio.NewReaderSize(r, 256<<10)}
}

// Next gives the next line without its end, valid until the following call. A last
// line without a newline is given with io.EOF (the input may be a file that is still
// written: see [Lines.Rest]).
func (l *Lines) Next() ([]byte, error) {
	if !l.begun {
		if err := l.sniff(); err != nil {
			return nil, err
		}
	}
	cut := false
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.buf) == 0 && err == nil && len(part) <= maxLine {
			return bytes.TrimRight(part, "\r\n"), nil
		}
		room := maxLine - len(l.buf)
		if len(part) > room {
			part, cut = part[:room], true
		}
		l.buf = append(l.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		}
		line := bytes.TrimRight(l.buf, "\r\n")
		l.buf = l.buf[:0]
		if cut {
			l.Cut++
		}
		return line, nil
	}
}

// Rest is the last line, when it has no newline.
func (l *Lines) Rest() []byte {
	line := bytes.TrimRight(l.buf, "\r\n")
	l.buf = l.buf[:0]
	return line
}

// Follow lets Next go on after io.EOF, as when a file has grown. What a file has
// before its first newline is looked at again.
func (l *Lines) Follow(r io.Reader) { l.r.Reset(r) }

// sniff refuses what is not text by its first bytes.
func (l *Lines) sniff() error {
	head, err := l.r.Peek(4096)
	if len(head) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return io.EOF
		}
		return err
	}
	l.begun = true
	for _, k := range []struct{ magic, problem string }{
		{"\x1f\x8b", fmt.Sprintf("is compressed (gzip): gzip -dc %s | orderly explain -", l.name)},
		{"\x28\xb5\x2f\xfd", fmt.Sprintf("is compressed (zstd): zstd -dc %s | orderly explain -", l.name)},
		{"\xff\xfe", "is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"},
		{"\xfe\xff", "is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return &InputError{l.name, k.problem}
		}
	}
	if bytes.IndexByte(head, 0) >= 0 || notText(head) {
		return &InputError{l.name, "is binary, not a log in text; a topic's segment file is read by \"kafka-dump-log.sh\""}
	}
	return nil
}

// notText says whether a third of the bytes are of no text: control characters, or
// not UTF-8 (another 8-bit encoding has few of those).
func notText(head []byte) bool {
	odd := 0
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n == 1 && len(head)-i >= utf8.UTFMax || r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != 0x1b {
			odd++
		}
		i += n
	}
	return odd*3 > len(head)
}
