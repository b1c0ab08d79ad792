package history

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Key is a record's ordering key: some bytes, or null. The zero value is the
// null key, which is not the empty key. Keys are comparable.
type Key struct {
	text string
	set  bool
}

// StringKey is the key with these bytes; "" is the empty key, not null.
func StringKey(s string) Key { return Key{text: s, set: true} }

// BytesKey is the key with these bytes; nil is the null key, as in Kafka.
func BytesKey(b []byte) Key {
	if b == nil {
		return Key{}
	}
	return StringKey(string(b))
}

// IsNull says whether the key is the null key.
func (k Key) IsNull() bool { return !k.set }

// Text gives the key's bytes; it is empty for the null key too.
func (k Key) Text() string { return k.text }

// String gives the key as people should read it: quoted, or null.
func (k Key) String() string {
	if !k.set {
		return "null"
	}
	return strconv.Quote(k.text)
}

// rawKey is how a key that is not UTF-8 is written: a JSON string would replace
// its bytes, and two keys could become one.
type rawKey struct {
	B64 *string `json:"b64"`
}

// MarshalJSON writes null, a string, or {"b64":"..."}.
func (k Key) MarshalJSON() ([]byte, error) {
	switch {
	case !k.set:
		return []byte("null"), nil
	case utf8.ValidString(k.text):
		return json.Marshal(k.text)
	}
	b64 := base64.StdEncoding.EncodeToString([]byte(k.text))
	return json.Marshal(rawKey{B64: &b64})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (k *Key) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*k = Key{}
		return nil
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*k = StringKey(s)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var r rawKey
	if err := dec.Decode(&r); err != nil || r.B64 == nil {
		return errors.New(`a key is a string, null or {"b64":"..."}`)
	}
	raw, err := base64.StdEncoding.DecodeString(*r.B64)
	if err != nil {
		return fmt.Errorf("the key's b64 is damaged: %w", err)
	}
	*k = StringKey(string(raw))
	return nil
}
