package progress

import (
	"encoding/base64"
	"slices"
)

// tagEnded names a field of version 1 that came later: base64, pairs as in tagAttempts.
// Its offsets do not count from the watermark: a release that does not know the field
// writes it back as it is, with another watermark.
const tagEnded = "ended"

// endedCap bounds how many records the field names, the lowest ones. One record runs
// at a time where it is used.
const endedCap = 16

// WithEnded returns the fields with one that says in how many attempts of records the
// process ended, sorted by offset. Of those attempts Meta.Attempts counts all, and others.
// What lies below the watermark is left out.
func WithEnded(fields []Field, watermark int64, ended []Attempt) []Field {
	fields = slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return f.Tag == tagEnded })
	ended = Unsettled(watermark, ended)
	if len(ended) == 0 {
		return fields
	}
	raw, _ := packAttempts(0, ended[:min(len(ended), endedCap)], DefaultLimit)
	return append(fields, Field{tagEnded, base64.RawStdEncoding.EncodeToString(raw)})
}

// Ended reads that field; nil when it is not there, or not as it is written here: then
// nothing is known.
func Ended(fields []Field) []Attempt {
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Tag == tagEnded })
	if i < 0 {
		return nil
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(fields[i].Value)
	if err != nil {
		return nil
	}
	ended, reason := unpackAttempts(0, raw)
	if reason != "" {
		return nil
	}
	return ended
}
