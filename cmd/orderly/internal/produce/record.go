package produce

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordOf makes a record of a line.
func (o *Options) recordOf(line []byte) (*kgo.Record, error) {
	if !json.Valid(line) {
		var v any
		err := json.Unmarshal(line, &v)
		var se *json.SyntaxError
		if errors.As(err, &se) {
			return nil, fmt.Errorf("not JSON, at byte %d: %w", se.Offset, err)
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8, which JSON has to be")
	}
	raw, err := o.Key.Find(line)
	if err != nil {
		return nil, fmt.Errorf("key %w", err)
	}
	key, err := keyOf(raw)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", o.Key, err)
	}
	value, err := valueOf(o.Value, line)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: o.Topic, Key: key, Value: value}, nil
}

// valueOf is the line, or a field of it: a string's text, null as no value (which
// deletes the key in a compacted topic), anything else as it is in the line.
func valueOf(path *fieldpath.Path, line []byte) ([]byte, error) {
	if path == nil {
		return line, nil
	}
	raw, err := path.Find(line)
	if err != nil {
		return nil, fmt.Errorf("value %w", err)
	}
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
		s, err := textOf(raw)
		if err != nil {
			return nil, fmt.Errorf("value %s: %w", path, err)
		}
		return []byte(s), nil
	}
	return raw, nil
}
