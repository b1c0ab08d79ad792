package parking

import (
	"encoding/binary"
	"errors"

	"github.com/orderly-go/orderly/internal/progress"
)

// A note says what the metadata of a commit has no room for: attempts of unsettled
// records, and what is done ahead. It holds when a commit names it. Only a note that was
// read back valid is named, and only by the ownership that wrote it, or whose first commit
// found it named: a note that an owner before left unnamed says that records are done
// which the present one may be handling again.

// Noted is a note, and where it stands.
type Noted struct {
	Pos   int64
	Entry *Entry
}

// Place is what a commit says of the note.
func (n *Noted) Place() *progress.Note {
	if n == nil {
		return nil
	}
	return &progress.Note{Pos: n.Pos, Token: n.Entry.Token, Seq: n.Entry.Seq}
}

// Is reports whether an entry is the note of a place.
func Is(e *Entry, n *progress.Note) bool {
	return e.Kind == KindProgress && e.Token == n.Token && e.Seq == n.Seq
}

// Note writes a note. It reports false while nothing can be written, or one is on its way.
func (o *Owner) Note(p ProgressBody) ([]Action, bool) {
	if !o.open() || o.fresh || o.noting != 0 {
		return nil, false
	}
	o.write(&Entry{Kind: KindProgress, Progress: &p}, -1)
	o.noting = o.seq
	return o.take(), true
}

// Noted returns the last note that a commit may name; nil: none.
func (o *Owner) Noted() *Noted { return o.note }

// noted takes a note of ours that was read.
func (o *Owner) noted(pos int64, e *Entry, v Verdict) {
	if e.Seq == o.noting {
		o.noting = 0
	}
	if v == Counts {
		if o.note = (&Noted{pos, e}); o.trim == nil { // a trim's copy is named with its end
			o.emit(Commit{})
		}
	}
}

// The value of a note's record holds how many attempts there are and each one's offset,
// as the difference to the one before, and count; then how many runs are done ahead, and
// each one's distance from the one before, and length.
func noteValue(p *ProgressBody) []byte {
	to := binary.AppendUvarint(nil, uint64(len(p.Attempts)))
	last := int64(0)
	for _, a := range p.Attempts {
		to = binary.AppendUvarint(to, uint64(a.Offset-last))
		to = binary.AppendUvarint(to, uint64(a.Count))
		last = a.Offset
	}
	to = binary.AppendUvarint(to, uint64(len(p.Ahead)))
	last = 0
	for _, r := range p.Ahead {
		to = binary.AppendUvarint(to, uint64(r.From-last))
		to = binary.AppendUvarint(to, uint64(r.To-r.From))
		last = r.To
	}
	return to
}

// readNote reads the value of a note's record.
func readNote(p *ProgressBody, value []byte) error {
	d := runReader{rest: value}
	const least = 2 // bytes of each
	if n := d.number(); n > 0 && n <= uint64(len(d.rest)/least) {
		p.Attempts = make([]Attempts, n)
	} else if n > 0 {
		d.bad = true
	}
	last := uint64(0)
	for i := range p.Attempts {
		last += d.number()
		p.Attempts[i] = Attempts{int64(last), int(d.number())}
	}
	if n := d.number(); n > 0 && n <= uint64(len(d.rest)/least) {
		p.Ahead = make([]Span, n)
	} else if n > 0 {
		d.bad = true
	}
	last = 0
	for i := range p.Ahead {
		from := last + d.number()
		last = from + d.number()
		p.Ahead[i] = Span{int64(from), int64(last)}
	}
	if d.bad || len(d.rest) > 0 {
		return errors.New("the note is cut short, or something follows it")
	}
	return nil
}
