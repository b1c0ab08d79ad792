package explain

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// stopEvery is after how many lines it is looked whether to stop.
const stopEvery = 4096

// Read takes all lines of r. It ends early, without an error, when ctx does.
func (s *Scanner) Read(ctx context.Context, name string, r io.Reader) (cut int64, err error) {
	l := NewLines(name, r)
	if _, err := s.drain(ctx, l); err != nil {
		return l.Cut, err
	}
	if rest := l.Rest(); len(rest) > 0 {
		s.Line(rest)
	}
	if s.lines == 0 && ctx.Err() == nil {
		return 0, &InputError{name, "is empty: there is no line to read"}
	}
	return l.Cut, nil
}

// drain takes the lines that are there.
func (s *Scanner) drain(ctx context.Context, l *Lines) (n int, err error) {
	for {
		if n%stopEvery == 0 && ctx.Err() != nil {
			return n, nil
		}
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
		s.Line(line)
	}
}

// Follow takes the lines of a file, those there and those to come, until ctx ends.
// It looks again at each tick. A file that was replaced, or cut, is read from the
// beginning of the new one.
func (s *Scanner) Follow(ctx context.Context, path string, tick <-chan time.Time) (cut int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { f.Close() }()
	l := NewLines(path, f)
	for {
		n, err := s.drain(ctx, l)
		if err != nil {
			return l.Cut, err
		}
		if n == 0 {
			s.Flush() // a stack trace is written at once
			if next := replaced(path, f); next != nil {
				if rest := l.Rest(); len(rest) > 0 {
					s.Line(rest)
				}
				f.Close()
				f = next
				l.Follow(f)
				continue
			}
		}
		select {
		case <-ctx.Done():
			if rest := l.Rest(); len(rest) > 0 {
				s.Line(rest)
			}
			return l.Cut, nil
		case <-tick:
		}
	}
}

// replaced opens the file that stands under the path now, when it is another than f,
// or the same cut shorter than what was read of it. It gives nil when neither is so,
// or when it cannot be told: the next look may tell.
func replaced(path string, f *os.File) *os.File {
	was, err1 := f.Stat()
	is, err2 := os.Stat(path)
	at, err3 := f.Seek(0, io.SeekCurrent)
	if err1 != nil || err2 != nil || err3 != nil || os.SameFile(was, is) && is.Size() >= at {
		return nil
	}
	next, err := os.Open(path)
	if err != nil {
		return nil
	}
	return next
}
