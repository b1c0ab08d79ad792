package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// A Change is one line of the change history: what one commit did to one file.
type Change struct {
	Path   string `json:"path"` // the ordering key
	Seq    int    `json:"seq"`  // 1, 2, 3 ... per path
	Op     string `json:"op"`   // A added, M modified, T type changed, D deleted
	Commit string `json:"commit"`
	At     int64  `json:"at"` // Unix seconds
}

// An InputError says where a change history is not one, and by which rule.
type InputError struct {
	Name string
	Line int // counted from 1; 0: the file as a whole
	Text string
}

func (e *InputError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("input %s: %s", e.Name, e.Text)
	}
	return fmt.Sprintf("input %s line %d: %s", e.Name, e.Line, e.Text)
}

// inputForm is said wherever an input is refused.
const inputForm = `each line is a JSON object with path, seq (1, 2, 3 ... per path), op (A, M, T or D) and commit`

// maxLine bounds one line of an input.
const maxLine = 1 << 20

// ReadFile reads a change history from a .jsonl or .jsonl.gz file.
func ReadFile(path string) ([]Change, error) {
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, &InputError{Name: path, Text: fmt.Sprintf("cannot be opened: %v; name a .jsonl or .jsonl.gz file", err)}
	}
	defer f.Close()
	return ReadChanges(path, f)
}

// ReadChanges reads a change history, compressed or not, and checks that the
// numbers of each path are 1, 2, 3 ... Whether the changes fit together is
// checked by TruthOf. The name is for errors.
func ReadChanges(name string, r io.Reader) ([]Change, error) {
	r, err := Decompressed(r)
	if err != nil {
		return nil, &InputError{Name: name, Text: fmt.Sprintf("cannot be decompressed: %v", err)}
	}
	var changes []Change
	seqs := map[string]int{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	line := 0
	for sc.Scan() {
		line++
		var c Change
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			return nil, &InputError{Name: name, Line: line, Text: fmt.Sprintf("not a change: %v; %s", err, inputForm)}
		}
		switch {
		case c.Path == "" || c.Commit == "" || c.Op != "A" && c.Op != "M" && c.Op != "T" && c.Op != "D":
			return nil, &InputError{Name: name, Line: line, Text: "not a change: " + inputForm}
		case c.Seq != seqs[c.Path]+1:
			return nil, &InputError{Name: name, Line: line, Text: fmt.Sprintf(
				"path %q has seq %d after %d: the changes of a path stand in their order, from 1, without gaps", c.Path, c.Seq, seqs[c.Path])}
		}
		seqs[c.Path] = c.Seq
		changes = append(changes, c)
	}
	if err := sc.Err(); err != nil {
		return nil, &InputError{Name: name, Line: line + 1, Text: err.Error()}
	}
	if len(changes) == 0 {
		return nil, &InputError{Name: name, Text: "holds no changes: " + inputForm}
	}
	return changes, nil
}

// Decompressed undoes gzip where there is any: what counts is how the data
// begins, not how the file is called.
func Decompressed(r io.Reader) (io.Reader, error) {
	br := bufio.NewReader(r)
	if head, _ := br.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return br, nil
	}
	return gzip.NewReader(br)
}

// encode gives the value of the change's record.
func (c Change) encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	return b
}
