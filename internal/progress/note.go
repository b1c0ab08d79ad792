package progress

import (
	"fmt"
	"slices"
)

// tagNote names a field of version 1 that came later: where an entry of the parking topic
// stands that says what had no room here.
const tagNote = "note"

// A Note is the place of such an entry, and by what it is known again: the token of the
// owner that wrote it, and its number under that.
type Note struct{ Pos, Token, Seq int64 }

// WithNote returns the fields with one that names a note, for a commit under a token; nil
// is none. The field holds for that commit alone: a release that does not know it writes
// it back, under its own token, and may have handled again what the note says is done.
func WithNote(fields []Field, n *Note, token int64) []Field {
	fields = slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return f.Tag == tagNote })
	if n == nil {
		return fields
	}
	return append(fields, Field{tagNote, fmt.Sprintf("%d.%d.%d.%d", n.Pos, n.Token, n.Seq, token)})
}

// NoteOf returns the note that the fields of a commit under a token name; nil when there
// is none, or none that holds.
func NoteOf(fields []Field, token int64) *Note {
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Tag == tagNote })
	if i < 0 {
		return nil
	}
	var n Note
	var under int64
	if _, err := fmt.Sscanf(fields[i].Value, "%d.%d.%d.%d", &n.Pos, &n.Token, &n.Seq, &under); err != nil || under != token || n.Pos < 0 {
		return nil
	}
	if WithNote(nil, &n, token)[0] != fields[i] {
		return nil
	}
	return &n
}
