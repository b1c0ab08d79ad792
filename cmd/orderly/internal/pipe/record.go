package pipe

import (
	"bytes"
	"encoding/json"
	"strconv"
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
	out = append(out, '"')
	out = append(out, name...)
	if t.base64 != nil {
		return appendJSON(append(out, `_base64":`...), t.base64)
	}
	out = append(out, '"', ':')
	if t.string == nil {
		return append(out, "null"...)
	}
	return appendString(out, *t.string)
}

// appendString writes what needs no escape as it is.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return appendJSON(out, s)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}

// Line is a record as a JSON line, with its end.
func Line(m *orderly.Message) []byte {
	out := make([]byte, 0, len(m.Key)+len(m.Value)+256)
	out = appendString(append(out, `{"topic":`...), m.Topic)
	out = strconv.AppendInt(append(out, `,"partition":`...), int64(m.Partition), 10)
	out = strconv.AppendInt(append(out, `,"offset":`...), m.Offset, 10)
	out = m.Timestamp.UTC().AppendFormat(append(out, `,"timestamp":"`...), "2006-01-02T15:04:05.000Z07:00")
	out = append(out, '"')
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
	out = strconv.AppendInt(append(out, `],"attempt":`...), int64(m.Attempt), 10)
	out = strconv.AppendInt(append(out, `,"fencing_token":`...), m.FencingToken, 10)
	return append(out, '}', '\n')
}

func appendJSON(out []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // strings and bytes only
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
