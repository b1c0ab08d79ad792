package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Version is the version of the file format that this package writes. It reads
// it and all versions before.
const Version = 2

// header is the first line of a file.
type header struct {
	History *int `json:"history"`
}

// wire is an event as it stands in a line; pointers tell absent from zero.
type wire struct {
	N         *int64          `json:"n"`
	At        int64           `json:"at,omitempty"`
	Kind      Kind            `json:"e"`
	Member    *string         `json:"m,omitempty"`
	Topic     *string         `json:"t,omitempty"`
	Partition *int32          `json:"p,omitempty"`
	Offset    *int64          `json:"o,omitempty"`
	Key       json.RawMessage `json:"k,omitempty"`
	Number    *int64          `json:"i,omitempty"`
	Token     *int64          `json:"f,omitempty"`
	Attempt   *int            `json:"a,omitempty"`
	Batch     *int64          `json:"b,omitempty"`
	OK        *bool           `json:"ok,omitempty"`
	Cancelled *bool           `json:"x,omitempty"`
	Ahead     []int64         `json:"d,omitempty"`
	Why       *string         `json:"w,omitempty"`
	Writer    *string         `json:"s,omitempty"`
	Epoch     *int64          `json:"g,omitempty"`
}

// MarshalJSON writes the event with the fields that its kind has.
func (e Event) MarshalJSON() ([]byte, error) {
	if f := e.fault(); f != nil {
		return nil, fmt.Errorf("history event %d: rule %s: %s", e.N, f.rule, f.text)
	}
	s := shapes[e.Kind]
	// A field is written when the kind must have it, or may and it is not zero.
	on := func(f field, zero bool) bool {
		return s.must&f != 0 || (s.may&f != 0 && !zero)
	}
	w := wire{N: &e.N, At: e.At, Kind: e.Kind}
	if on(fMember, e.Member == "") {
		w.Member = &e.Member
	}
	if on(fPlace, e.Topic == "" || e.Partition < 0) {
		w.Topic, w.Partition = &e.Topic, &e.Partition
	}
	if on(fTopic, e.Topic == "") {
		w.Topic = &e.Topic
	}
	if on(fOffset, e.Offset < 0) {
		w.Offset = &e.Offset
	}
	if on(fKey, e.Number == 0) {
		k, err := e.Key.MarshalJSON()
		if err != nil {
			return nil, err
		}
		w.Key = k
	}
	if on(fNumber, e.Number == 0) {
		w.Number = &e.Number
	}
	if on(fToken, e.Token == 0) {
		w.Token = &e.Token
	}
	if on(fAttempt, false) {
		w.Attempt = &e.Attempt
	}
	if on(fBatch, e.Batch == 0) {
		w.Batch = &e.Batch
	}
	if on(fOK, false) {
		w.OK = &e.OK
	}
	if on(fCancelled, !e.Cancelled) {
		w.Cancelled = &e.Cancelled
	}
	if on(fAhead, len(e.Ahead) == 0) {
		w.Ahead = e.Ahead
	}
	if on(fWhy, e.Why == "") {
		w.Why = &e.Why
	}
	if on(fWriter, e.Writer == "") {
		w.Writer = &e.Writer
	}
	if on(fEpoch, e.Epoch == 0) {
		w.Epoch = &e.Epoch
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads one event, strictly: every field that its kind needs, and
// none that it does not have.
func (e *Event) UnmarshalJSON(line []byte) error {
	ev, f := decode(line, Version)
	if f != nil {
		return fmt.Errorf("history event: rule %s: %s", f.rule, f.text)
	}
	*e = ev
	return nil
}

// decode reads a line of a file of the version.
func decode(line []byte, version int) (Event, *fault) {
	if !utf8.Valid(line) {
		return Event{}, &fault{"utf-8", "the line holds bytes that are not UTF-8"}
	}
	var w wire
	if err := strict(line, &w); err != nil {
		return Event{}, &fault{"json", err.Error()}
	}
	s, ok := shapes[w.Kind]
	if !ok || since[w.Kind] > version {
		return Event{}, &fault{"kind", fmt.Sprintf("event kind %q is unknown in version %d", w.Kind, version)}
	}
	if w.N == nil {
		return Event{}, &fault{"fields", fmt.Sprintf("%s has no number (n)", w.Kind)}
	}
	alone := (s.must|s.may)&fTopic != 0
	if w.Topic == nil && w.Partition != nil || w.Topic != nil && w.Partition == nil && !alone {
		return Event{}, &fault{"fields", fmt.Sprintf("%s names only one of topic (t) and partition (p)", w.Kind)}
	}
	for _, f := range w.fields() {
		switch {
		case !f.there && s.must&f.bit != 0:
			return Event{}, &fault{"fields", fmt.Sprintf("%s has no field %q", w.Kind, f.name)}
		case f.there && (s.must|s.may)&f.bit == 0:
			return Event{}, &fault{"fields", fmt.Sprintf("%s must not have field %q", w.Kind, f.name)}
		}
	}
	e, err := w.event()
	if err != nil {
		return Event{}, &fault{"key", err.Error()}
	}
	if f := e.fault(); f != nil {
		return Event{}, f
	}
	return e, nil
}

// presence says whether a line holds the field.
type presence struct {
	bit   field
	name  string
	there bool
}

func (w *wire) fields() [15]presence {
	return [15]presence{
		{fMember, "m", w.Member != nil},
		{fPlace | fTopic, "t", w.Topic != nil},
		{fPlace, "p", w.Partition != nil},
		{fOffset, "o", w.Offset != nil},
		{fKey, "k", w.Key != nil},
		{fNumber, "i", w.Number != nil},
		{fToken, "f", w.Token != nil},
		{fAttempt, "a", w.Attempt != nil},
		{fBatch, "b", w.Batch != nil},
		{fOK, "ok", w.OK != nil},
		{fCancelled, "x", w.Cancelled != nil},
		{fAhead, "d", w.Ahead != nil},
		{fWhy, "w", w.Why != nil},
		{fWriter, "s", w.Writer != nil},
		{fEpoch, "g", w.Epoch != nil},
	}
}

func (w *wire) event() (Event, error) {
	e := Event{
		N: value(w.N), At: w.At, Kind: w.Kind,
		Member: value(w.Member), Topic: value(w.Topic), Partition: value(w.Partition),
		Offset: value(w.Offset), Number: value(w.Number), Token: value(w.Token),
		Attempt: value(w.Attempt), Batch: value(w.Batch), OK: value(w.OK),
		Cancelled: value(w.Cancelled), Ahead: w.Ahead, Why: value(w.Why),
		Writer: value(w.Writer), Epoch: value(w.Epoch),
	}
	// Where a place may be told and is not, zero would be one.
	may := shapes[w.Kind].may
	if may&fPlace != 0 && w.Partition == nil && w.Kind != Freeze {
		e.Partition = -1
	}
	if may&fOffset != 0 && w.Offset == nil {
		e.Offset = -1
	}
	if w.Key == nil {
		return e, nil
	}
	return e, e.Key.UnmarshalJSON(w.Key)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// strict decodes exactly one JSON object without unknown fields.
func strict(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the line ends before its JSON object does")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON object")
	}
	return nil
}
