package pipe

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/orderly-go/orderly"
)

// text is a key, a value or a part of a header: a string where it is UTF-8, and
// else base64 under another name.
type text struct {
	string *string
	base64 []byte
}

func textOf(b []byte) text {
	switch {
	case b == nil:
		return text{}
	case utf8.Valid(b):
		s := string(b)
		return text{string: &s}
	}
	return text{base64: b}
}

// append adds the member: null, a string, or name_base64.
func (t text) append(out []byte, name string) []byte {
	var v any = t.string
	if t.base64 != nil {
		name, v = name+"_base64", t.base64
	}
	out = append(out, '"')
	out = append(out, name...)
	out = append(out, '"', ':')
	return appendJSON(out, v)
}

// Line is a record as a JSON line, with its end.
func Line(m *orderly.Message) []byte {
	out := make([]byte, 0, len(m.Key)+len(m.Value)+256)
	out = appendJSON(append(out, `{"topic":`...), m.Topic)
	out = appendJSON(append(out, `,"partition":`...), m.Partition)
	out = appendJSON(append(out, `,"offset":`...), m.Offset)
	out = appendJSON(append(out, `,"timestamp":`...), m.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	out = textOf(m.Key).append(append(out, ','), "key")
	out = textOf(m.Value).append(append(out, ','), "value")
	out = append(out, `,"headers":[`...)
	for i, h := range m.Headers {
		if i > 0 {
			out = append(out, ',')
		}
		out = textOf([]byte(h.Key)).append(append(out, '{'), "key")
		out = textOf(h.Value).append(append(out, ','), "value")
		out = append(out, '}')
	}
	out = appendJSON(append(out, `],"attempt":`...), m.Attempt)
	out = appendJSON(append(out, `,"fencing_token":`...), m.FencingToken)
	return append(out, '}', '\n')
}

func appendJSON(out []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // strings, bytes and numbers only
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
