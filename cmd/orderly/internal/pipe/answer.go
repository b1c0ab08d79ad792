package pipe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/orderly-go/orderly"
)

// maxAnswer bounds an answer: what is longer is no answer.
const maxAnswer = 1 << 20

var errLong = fmt.Errorf("a line of more than %d bytes", maxAnswer)

// A Failure is a worker's own word that it could not process the record.
type Failure struct{ Why string }

func (f *Failure) Error() string { return f.Why }

// parseAnswer reads {"ok":true}, {"error":"why"} with or without "retry_after",
// {"permanent":"why"} or {"unavailable":"why"}, each with or without what names the
// record: that has to be the one in hand. bad says that it is no such answer.
func parseAnswer(line []byte, m *orderly.Message) (failure error, bad error) {
	var a struct {
		OK          *bool           `json:"ok"`
		Error       *string         `json:"error"`
		RetryAfter  *string         `json:"retry_after"`
		Permanent   *string         `json:"permanent"`
		Unavailable *string         `json:"unavailable"`
		Topic       json.RawMessage `json:"topic"`
		Partition   json.RawMessage `json:"partition"`
		Offset      json.RawMessage `json:"offset"`
		Attempt     json.RawMessage `json:"attempt"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || dec.InputOffset() < int64(len(bytes.TrimRight(line, " \t\r"))) {
		return nil, errNoAnswer
	}
	said := 0
	for _, is := range []bool{a.OK != nil, a.Error != nil, a.Permanent != nil, a.Unavailable != nil} {
		if is {
			said++
		}
	}
	if said != 1 || a.RetryAfter != nil && a.Error == nil || a.OK != nil && !*a.OK {
		return nil, errNoAnswer
	}
	for _, echo := range []struct {
		name string
		said json.RawMessage
		want any
	}{{"topic", a.Topic, m.Topic}, {"partition", a.Partition, m.Partition}, {"offset", a.Offset, m.Offset}, {"attempt", a.Attempt, m.Attempt}} {
		if echo.said != nil && !same(echo.said, echo.want) {
			return nil, fmt.Errorf("the record in hand has %s %v: this answers another one; a record has one answer", echo.name, echo.want)
		}
	}
	switch {
	case a.OK != nil:
		return nil, nil
	case a.Permanent != nil:
		return orderly.Permanent(failureOf(*a.Permanent)), nil
	case a.Unavailable != nil:
		return orderly.Unavailable(failureOf(*a.Unavailable)), nil
	}
	failure = failureOf(*a.Error)
	if a.RetryAfter != nil {
		d, err := time.ParseDuration(*a.RetryAfter)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("retry_after %q is no duration like 2s or 500ms", *a.RetryAfter)
		}
		failure = orderly.RetryAfter(failure, d)
	}
	return failure, nil
}

// same compares what a worker has said with a string, or with an integer of
// whichever size.
func same(said json.RawMessage, want any) bool {
	if s, ok := want.(string); ok {
		var got string
		return len(said) > 0 && said[0] == '"' && json.Unmarshal(said, &got) == nil && got == s
	}
	return string(said) == fmt.Sprint(want)
}

func failureOf(why string) error {
	if why == "" {
		why = "the worker gave no reason"
	}
	return &Failure{why}
}

var errNoAnswer = errors.New(`neither {"ok":true} nor {"error":"why"}, {"permanent":"why"} or {"unavailable":"why"}; logs belong on standard error`)

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
