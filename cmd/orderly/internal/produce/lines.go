package produce

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// maxLine bounds a line: what is longer has no end, most likely.
const maxLine = 128 << 20

// A LineError is a line that cannot be sent.
type LineError struct {
	File   string
	Line   int
	Reason error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s line %d: %v", e.File, e.Line, e.Reason) }
func (e *LineError) Unwrap() error { return e.Reason }

// A FileError is a file that cannot be read.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("input %s: %v", e.File, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// A source is a file, or standard input.
type source struct {
	name  string
	r     *bufio.Reader
	close func() error
	line  int
}

// openAll opens all files before anything is sent: one that is missing is not
// found out in the middle. size is that of all; 0 when it is not known.
func openAll(files []string, in io.Reader) (all []*source, size int64, err error) {
	if len(files) == 0 {
		files = []string{"-"}
	}
	known := true
	for _, name := range files {
		if name == "-" {
			known = false
			all = append(all, &source{name: "standard input", r: bufio.NewReaderSize(in, 256<<10), close: func() error { return nil }})
			continue
		}
		f, err := os.Open(name)
		var st os.FileInfo
		if err == nil {
			all = append(all, &source{name: name, r: bufio.NewReaderSize(f, 256<<10), close: f.Close})
			if st, err = f.Stat(); err == nil && st.IsDir() {
				err = errors.New("is a folder; name the files in it")
			}
		}
		if err != nil {
			closeAll(all)
			var pe *os.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, 0, &FileError{name, err}
		}
		known = known && st.Mode().IsRegular()
		size += st.Size()
	}
	if !known {
		size = 0
	}
	return all, size, nil
}

func closeAll(all []*source) {
	for _, s := range all {
		_ = s.close() // read only
	}
}

var errLongLine = fmt.Errorf("longer than %d MiB", maxLine>>20)

// next returns the next line that is not blank, without its end, in memory of
// its own. It returns io.EOF at the end. read counts the bytes.
func (s *source) next(read *atomic.Int64) ([]byte, error) {
	for {
		line, err := s.raw(read)
		if errors.Is(err, errLongLine) {
			return nil, &LineError{s.name, s.line, err}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, &FileError{s.name, err}
		}
		if s.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // some editors write it
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
		if err != nil {
			return nil, io.EOF
		}
	}
}

func (s *source) raw(read *atomic.Int64) (line []byte, err error) {
	long := false
	for first := true; ; first = false {
		part, err := s.r.ReadSlice('\n')
		read.Add(int64(len(part)))
		if first && len(part) > 0 {
			s.line++
		}
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long {
			return nil, errLongLine
		}
		return line, err
	}
}
