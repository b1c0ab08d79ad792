package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxLine bounds one line: a key may be as large as a record, and a commit may
// list many offsets.
const maxLine = 64 << 20

// FormatError says where a history file is not one, and by which rule.
type FormatError struct {
	Line int    // counted from 1
	Rule string // header, version, json, utf-8, kind, fields, member, topic, range, key, number, length
	Text string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("history line %d: rule %s: %s", e.Line, e.Rule, e.Text)
}

// Write writes the events as a history file. An event without a number (0)
// gets the next one.
func Write(w io.Writer, events []Event) error {
	bw := bufio.NewWriter(w)
	fmt.Fprintf(bw, "{\"history\":%d}\n", Version)
	var last int64
	for _, e := range events {
		if e.N == 0 {
			e.N = last + 1
		}
		if e.N <= last {
			return fmt.Errorf("history event %d: rule number: it stands behind event %d; events are written in the order of their numbers", e.N, last)
		}
		last = e.N
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		bw.Write(b)
		bw.WriteByte('\n')
	}
	return bw.Flush() // it gives the first error of the writes above, too
}

// Save writes a history file; a file that exists is replaced only when the new
// one is complete.
func Save(path string, events []Event) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("save history %s: %w", path, err)
		}
	}()
	if err := Write(f, events); err != nil {
		return errors.Join(err, f.Close())
	}
	// Temporary files are private; a saved history is for everyone to look at.
	if err := f.Chmod(0o644); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Read gives all events of a history file. Errors in the file are FormatErrors.
func Read(r io.Reader) ([]Event, error) {
	var events []Event
	err := Scan(r, func(e Event) error {
		events = append(events, e)
		return nil
	})
	return events, err
}

// Load reads the history file at path.
func Load(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load history: %w", err)
	}
	defer f.Close()
	events, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("load history %s: %w", path, err)
	}
	return events, nil
}

// Scan hands each event of a history file to fn, in order, without keeping
// them, and ends at the first error of the file or of fn.
func Scan(r io.Reader, fn func(Event) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	line, version := 0, 0
	var last int64
	for sc.Scan() {
		line++
		if line == 1 {
			var err error
			if version, err = readHeader(sc.Bytes()); err != nil {
				return err
			}
			continue
		}
		e, f := decode(sc.Bytes(), version)
		if f != nil {
			return &FormatError{Line: line, Rule: f.rule, Text: f.text}
		}
		if e.N <= last {
			return &FormatError{Line: line, Rule: "number", Text: fmt.Sprintf(
				"number %d does not rise above %d of the line before; merge histories by time and number them anew", e.N, last)}
		}
		last = e.N
		if err := fn(e); err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return &FormatError{Line: line + 1, Rule: "length", Text: fmt.Sprintf("the line is longer than %d bytes; it is no event", maxLine)}
	}
	if sc.Err() != nil {
		return fmt.Errorf("history line %d: %w", line+1, sc.Err())
	}
	if line == 0 {
		return &FormatError{Line: 1, Rule: "header", Text: fmt.Sprintf(`the file is empty; a history begins with {"history":%d}`, Version)}
	}
	return nil
}

func readHeader(b []byte) (version int, err error) {
	// The version is looked at before anything else: a newer header may hold
	// fields that this version does not know.
	var h header
	if err := json.Unmarshal(b, &h); err != nil || h.History == nil {
		return 0, &FormatError{Line: 1, Rule: "header", Text: fmt.Sprintf(`a history begins with {"history":%d}; this is another kind of file, or its beginning is cut off`, Version)}
	}
	if *h.History < 1 || *h.History > Version {
		return 0, &FormatError{Line: 1, Rule: "version", Text: fmt.Sprintf(
			"the file has version %d, this program reads versions 1 to %d; use the release that wrote it, or a later one", *h.History, Version)}
	}
	if err := strict(b, &h); err != nil {
		return 0, &FormatError{Line: 1, Rule: "header", Text: err.Error()}
	}
	return *h.History, nil
}
