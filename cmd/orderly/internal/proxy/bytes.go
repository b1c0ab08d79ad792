package proxy

import (
	"encoding/json"
	"unicode/utf8"
)

// Bytes are a record's key: in JSON a text, or {"base64": ...} when it is none.
type Bytes []byte

type base64Bytes struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	return json.Marshal(base64Bytes{b})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		var v base64Bytes
		err := json.Unmarshal(text, &v)
		*b = v.Base64
		return err
	}
	var s string
	err := json.Unmarshal(text, &s)
	*b = []byte(s)
	return err
}
