package progress

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The text is "orderly1", then fields ";tag=value", then a checksum as the last
// field:
//
//	orderly1;t=17;w=100;i=AAECAwQFBgcICQoLDA0ODw;u=40;r=AwQDHg;a=AAI;k=eec40255
//
// A tag is 1 to 8 of a-z and 0-9, a value printable ASCII without space and
// semicolon. The tags of version 1 are one character; a later release of the same version
// that adds a field takes a longer one.
const (
	magic = "orderly"

	tagToken     = "t" // decimal
	tagWatermark = "w" // decimal: the offset that was committed with this text
	tagTopicID   = "i" // base64
	tagClean     = "c" // "1" or absent
	tagUnclean   = "n" // decimal
	tagUpTo      = "u" // decimal, above the watermark: CompleteUpTo
	tagBitmap    = "b" // base64: done-ahead as bits, lowest offset first, from the watermark on
	tagRuns      = "r" // base64: done-ahead as lengths, not done and done in turn, from the watermark on
	tagAttempts  = "a" // base64: pairs of distance to the offset before and count
	tagChecksum  = "k" // CRC-32 (IEEE) of all before it, 8 hexadecimal digits

	knownTags   = tagToken + tagWatermark + tagTopicID + tagClean + tagUnclean + tagUpTo + tagBitmap + tagRuns + tagAttempts + tagChecksum
	maxTag      = 8
	checksumLen = len(";k=") + 8
)

// ErrForeign means that the metadata was written by something else.
var ErrForeign = errors.New("progress: the commit metadata was not written by orderly;" +
	" the partition starts at its committed offset, nothing above it is skipped, and the next commit replaces the metadata")

// DamagedError means that the metadata was written by orderly, in a version that
// can be read, and changed since.
type DamagedError struct {
	At     int    // characters before the place
	Field  string // the field's tag; empty when it is not about one field
	Reason string
}

func (e *DamagedError) Error() string {
	field := ""
	if e.Field != "" {
		field = fmt.Sprintf(", field %q", e.Field)
	}
	return fmt.Sprintf("progress: the commit metadata is damaged (after %d characters%s): %s;"+
		" the partition starts at its committed offset, nothing above it is skipped, and the next commit replaces the metadata", e.At, field, e.Reason)
}

// NewerError means that the metadata was written in a version that this release
// does not read.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("progress: the commit metadata is of version %d and this release reads up to %d;"+
		" nothing above the committed offset is skipped, and the next commit replaces the metadata; run one release in the whole group", e.Version, Version)
}

// MovedError means that the metadata is whole, but stands at another offset than
// the one it was committed with, for example copied together with a translated
// offset by a mirror. What it says about offsets does not hold here.
type MovedError struct{ Written, Committed int64 }

func (e *MovedError) Error() string {
	return fmt.Sprintf("progress: the commit metadata belongs to offset %d but stands at offset %d: something other than orderly committed it;"+
		" the partition starts at its committed offset, nothing above it is skipped, and the next commit replaces the metadata", e.Written, e.Committed)
}

// located is a field and where it begins.
type located struct {
	Field
	at int
}

// split checks magic, version and checksum and returns the fields before the
// checksum.
func split(s string) ([]located, error) {
	rest, ok := strings.CutPrefix(s, magic)
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if !ok || digits == 0 {
		return nil, ErrForeign
	}
	at := len(magic)
	version, err := strconv.Atoi(rest[:digits])
	if err != nil || version < 1 || rest[0] == '0' {
		return nil, &DamagedError{At: at, Reason: "the version is not one"}
	}
	if version > Version {
		return nil, &NewerError{Version: version}
	}
	at += digits
	body := len(s) - checksumLen
	if body < at || s[body:] != string(appendChecksum([]byte(s[:body]))[body:]) {
		return nil, &DamagedError{At: max(body, 0), Field: tagChecksum, Reason: "the checksum does not match the text"}
	}
	var fields []located
	for at < body {
		end := body
		if next := strings.IndexByte(s[at+1:body], ';'); next >= 0 {
			end = at + 1 + next
		}
		tag, value, found := strings.Cut(s[at+1:end], "=")
		if s[at] != ';' || !found || !validTag(tag) || !validValue(value) {
			return nil, &DamagedError{At: at, Reason: "a field is not ;tag=value"}
		}
		if tag == tagChecksum {
			return nil, &DamagedError{At: at, Field: tag, Reason: "the checksum is not the last field"}
		}
		fields = append(fields, located{Field{tag, value}, at})
		at = end
	}
	return fields, nil
}

func knownTag(tag string) bool { return len(tag) == 1 && strings.Contains(knownTags, tag) }

func validTag(tag string) bool {
	for i := range len(tag) {
		if c := tag[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(tag) >= 1 && len(tag) <= maxTag
}

func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c > '~' || c == ';' {
			return false
		}
	}
	return true
}

func (f Field) size() int { return len(";=") + len(f.Tag) + len(f.Value) }

func (f Field) append(b []byte) []byte {
	b = append(append(b, ';'), f.Tag...)
	return append(append(b, '='), f.Value...)
}

func appendNumber(b []byte, tag string, n int64) []byte {
	return strconv.AppendInt(append(append(append(b, ';'), tag...), '='), n, 10)
}

func appendBytes(b []byte, tag string, raw []byte) []byte {
	return base64.RawStdEncoding.AppendEncode(append(append(append(b, ';'), tag...), '='), raw)
}

func appendChecksum(b []byte) []byte {
	return fmt.Appendf(b, ";%s=%08x", tagChecksum, crc32.ChecksumIEEE(b))
}

// numberSize is how many characters appendNumber takes.
func numberSize(tag string, n int64) int {
	var digits [20]byte
	return len(";=") + len(tag) + len(strconv.AppendInt(digits[:0], n, 10))
}

// bytesSize is how many characters appendBytes takes with a tag of this version,
// and none for no bytes: such a field is left out.
func bytesSize(raw []byte) int {
	if len(raw) == 0 {
		return 0
	}
	return len(";x=") + base64.RawStdEncoding.EncodedLen(len(raw))
}

// rawRoom is how many bytes a field may have that may take so many characters.
func rawRoom(characters int) int {
	return base64.RawStdEncoding.DecodedLen(max(characters-len(";x="), 0))
}
