package pipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxAnswer bounds an answer: what is longer is no answer.
const maxAnswer = 1 << 20

var errLong = fmt.Errorf("a line of more than %d bytes", maxAnswer)

// A Failure is a worker's own word that it could not process the record.
type Failure struct{ Why string }

func (f *Failure) Error() string { return f.Why }

// parseAnswer reads {"ok":true} or {"error":"why"}. bad says that it is neither.
func parseAnswer(line []byte) (failure error, bad error) {
	var a struct {
		OK    *bool   `json:"ok"`
		Error *string `json:"error"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || dec.InputOffset() < int64(len(bytes.TrimRight(line, " \t\r"))) {
		return nil, errNoAnswer
	}
	switch {
	case a.OK != nil && a.Error == nil && *a.OK:
		return nil, nil
	case a.Error != nil && a.OK == nil && *a.Error == "":
		return &Failure{"the worker gave no reason"}, nil
	case a.Error != nil && a.OK == nil:
		return &Failure{*a.Error}, nil
	}
	return nil, errNoAnswer
}

var errNoAnswer = errors.New(`neither {"ok":true} nor {"error":"why"}; logs belong on standard error`)

// readLine reads up to the end of a line. more tells that there is more behind
// it already, which nobody asked for.
func readLine(r *bufio.Reader) (line []byte, more bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxAnswer {
			return line, false, errLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), r.Buffered() > 0, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			// Without an end it may be the beginning of another one.
			return line, false, fmt.Errorf("a line without an end: %w", io.ErrUnexpectedEOF)
		default:
			return nil, false, err
		}
	}
}

// quote shows a line in an error.
func quote(line []byte) string {
	const shown = 120
	if len(line) > shown {
		return fmt.Sprintf("%q...", line[:shown])
	}
	return fmt.Sprintf("%q", line)
}
