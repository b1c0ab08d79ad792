package parking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Version is the version of the entries that Encode writes. Decode reads it and
// the one before it; there is none before 1.
const Version = 1

const (
	// header is the first header of every record of a parking topic. Its value is
	// the entry as JSON: what was parked can be read with any tool for Kafka. A
	// parked record's own key, value and headers stay what they were: key, value
	// and the headers behind the first. Those of a run stand in its value (run.go), and so
	// does what a note says (note.go).
	header = "orderly-parking"

	// MaxEntry bounds what Decode looks at beside a parked record's own bytes.
	MaxEntry = 1 << 20
	maxCause = 4 << 10
)

// A NewerError is an entry of a version that this release cannot read.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("parking: the entry has version %d and this release reads up to %d: run the newer release,"+
		" or release what is parked with it before going back", e.Version, Version)
}

// A DamagedError is a record that is no entry.
type DamagedError struct{ Reason string }

func (e *DamagedError) Error() string {
	return "parking: the record is no entry of a parking topic: " + e.Reason +
		"; nothing else may write to this topic, and its partition waits until what is parked in it is given up by name"
}

// wire is the JSON of an entry.
type wire struct {
	V      int   `json:"v"`
	Kind   Kind  `json:"kind"`
	Token  int64 `json:"token,omitempty"`
	Seq    int64 `json:"seq,omitempty"`
	Offset int64 `json:"offset"`
	After  int64 `json:"after,omitempty"`
	// The ordering key: absent when it is the Kafka record's key.
	Key   []byte `json:"key,omitempty"`
	Other string `json:"key_is,omitempty"` // "none", "empty" or "given" when it is not

	Marker   *MarkerBody   `json:"marker,omitempty"`
	Parked   *ParkedBody   `json:"parked,omitempty"`
	Run      *RunBody      `json:"run,omitempty"`
	Resolved *ResolvedBody `json:"resolved,omitempty"`
	Tried    *TriedBody    `json:"tried,omitempty"`
	Progress *ProgressBody `json:"progress,omitempty"`
	Command  *CommandBody  `json:"command,omitempty"`
	Answer   *AnswerBody   `json:"answer,omitempty"`
}

// Encode returns the Kafka record of an entry.
func Encode(e *Entry) (Record, error) {
	if err := check(e); err != nil {
		return Record{}, fmt.Errorf("parking: an entry cannot be written: %w", err)
	}
	w := wire{V: Version, Kind: e.Kind, Token: e.Token, Seq: e.Seq, Offset: e.Offset, After: e.After,
		Marker: e.Marker, Parked: e.Parked, Run: e.Run, Resolved: e.Resolved, Tried: e.Tried, Progress: e.Progress, Command: e.Command, Answer: e.Answer}
	out := Record{Key: e.Key}
	if e.Parked != nil {
		out = e.Parked.Record
		body := *e.Parked
		body.Failure.Cause = clip(body.Failure.Cause)
		w.Parked = &body
		if !sameKey(e.Key, out.Key) {
			w.Key, w.Other = e.Key, keyIs(e.Key)
		}
	}
	if e.Run != nil {
		out.Value = runValue(e)
	}
	if e.Progress != nil {
		out.Value = noteValue(e.Progress)
	}
	if e.Tried != nil {
		body := *e.Tried
		body.Failure.Cause = clip(body.Failure.Cause)
		w.Tried = &body
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return Record{}, fmt.Errorf("parking: an entry cannot be written: %w", err)
	}
	if len(raw) > MaxEntry {
		return Record{}, fmt.Errorf("parking: a %s entry of %d bytes cannot be written: at most %d are read back", e.Kind, len(raw), MaxEntry)
	}
	out.Headers = append([]Header{{header, raw}}, out.Headers...)
	return out, nil
}

// Decode reads an entry. The errors are *NewerError and *DamagedError. The
// entry shares the record's bytes.
func Decode(r Record) (*Entry, error) {
	if len(r.Headers) == 0 || r.Headers[0].Key != header {
		return nil, &DamagedError{"its first header is not " + header}
	}
	raw := r.Headers[0].Value
	if len(raw) > MaxEntry {
		return nil, &DamagedError{fmt.Sprintf("its header has %d bytes, more than %d", len(raw), MaxEntry)}
	}
	w, err := read(raw)
	if err != nil {
		return nil, err
	}
	e := &Entry{Kind: w.Kind, Token: w.Token, Seq: w.Seq, Offset: w.Offset, After: w.After, Key: r.Key,
		Marker: w.Marker, Parked: w.Parked, Run: w.Run, Resolved: w.Resolved, Tried: w.Tried, Progress: w.Progress, Command: w.Command, Answer: w.Answer}
	switch w.Other {
	case "":
	case "none":
		e.Key = nil
	case "empty":
		e.Key = []byte{}
	case "given":
		e.Key = w.Key
	default:
		return nil, &DamagedError{fmt.Sprintf("key_is is %q", w.Other)}
	}
	if e.Parked != nil {
		e.Parked.Record = Record{Key: r.Key, Value: r.Value}
		if len(r.Headers) > 1 {
			e.Parked.Record.Headers = r.Headers[1:]
		}
	}
	if e.Run != nil {
		if e.Run.Records, err = readRun(e, e.Run.N, r.Value); err != nil {
			return nil, &DamagedError{err.Error()}
		}
	}
	if e.Progress != nil {
		if err := readNote(e.Progress, r.Value); err != nil {
			return nil, &DamagedError{err.Error()}
		}
	}
	if err := check(e); err != nil {
		return nil, &DamagedError{err.Error()}
	}
	return e, nil
}

// read reads the JSON. What a newer version says differently is an error of its
// own.
func read(raw []byte) (w wire, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err = dec.Decode(&w)
	if err == nil && len(bytes.TrimSpace(raw[dec.InputOffset():])) > 0 {
		err = errors.New("something follows it")
	}
	var v struct{ V int }
	if w.V > Version || err != nil && json.Unmarshal(raw, &v) == nil && v.V > Version {
		return w, &NewerError{max(w.V, v.V)}
	}
	if err == nil && w.V < 1 {
		err = errors.New("it names no version")
	}
	if err != nil {
		return w, &DamagedError{"its header does not say what an entry says: " + err.Error()}
	}
	return w, nil
}

func keyIs(key []byte) string {
	switch {
	case key == nil:
		return "none"
	case len(key) == 0:
		return "empty"
	}
	return "given"
}

func sameKey(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// clip keeps a cause short and in UTF-8: JSON holds nothing else.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxCause {
		return s
	}
	cut := maxCause
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// check says what is wrong with an entry. What passes it is safe to replay.
func check(e *Entry) error {
	bodies := 0
	for _, there := range []bool{e.Marker != nil, e.Parked != nil, e.Run != nil, e.Resolved != nil, e.Tried != nil, e.Progress != nil, e.Command != nil, e.Answer != nil} {
		if there {
			bodies++
		}
	}
	want, body := 1, true
	var problem error
	switch e.Kind {
	case KindMarker:
		body = e.Marker != nil
	case KindParked:
		body = e.Parked != nil
	case KindRun:
		if body = e.Run != nil; body {
			problem = checkRun(e)
		}
	case KindResolved:
		if body = e.Resolved != nil; body && e.Resolved.Last < e.Offset {
			problem = fmt.Errorf("it resolves from %d back to %d", e.Offset, e.Resolved.Last)
		}
	case KindTried:
		body = e.Tried != nil
	case KindSettled:
		want = 0
	case KindProgress:
		if body = e.Progress != nil; body {
			problem = checkProgress(e.Progress)
		}
	case KindCommand:
		if body = e.Command != nil; body {
			problem = checkCommand(e.Command)
		}
	case KindAnswer:
		if body = e.Answer != nil; body {
			problem = checkAnswer(e.Answer)
		}
	default:
		problem = fmt.Errorf("its kind is %q", e.Kind)
	}
	switch {
	case problem != nil:
		return problem
	case !body || bodies != want:
		return fmt.Errorf("a %s entry has another's body", e.Kind)
	case e.Offset < 0 || e.After < 0:
		return errors.New("an offset is negative")
	case e.Offset < e.After:
		return fmt.Errorf("it stands at %d and asks for what is settled up to %d", e.Offset, e.After)
	}
	return nil
}

func checkAnswer(a *AnswerBody) error {
	switch a.State {
	case Accepted, Done, Refused:
		return checkCommand(&a.Command)
	}
	return fmt.Errorf("the answer's state is %q", a.State)
}

func checkCommand(c *CommandBody) error {
	switch c.Verb {
	case Retry, Skip, Park, Pause, Resume, ResetOffsets:
	default:
		return fmt.Errorf("the command is %q", c.Verb)
	}
	if c.ID == "" || len(c.ID) > 128 {
		return fmt.Errorf("the command's id has %d bytes and not 1 to 128", len(c.ID))
	}
	return nil
}

func checkProgress(p *ProgressBody) error {
	for i, r := range p.Ahead {
		if r.From < 0 || r.From >= r.To || r.To > p.UpTo || i > 0 && r.From <= p.Ahead[i-1].To {
			return fmt.Errorf("done-ahead run %d is empty, beyond its end or not apart from the one before", i)
		}
	}
	for i, a := range p.Attempts {
		if a.Offset < 0 || a.Count < 1 || i > 0 && a.Offset <= p.Attempts[i-1].Offset {
			return fmt.Errorf("the attempts of number %d are not counted or not in order", i)
		}
	}
	return nil
}
