package group

import (
	"cmp"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/progress"
)

// What the metadata of a commit has no room for goes into a note, where there is a parking
// topic: the commits after it name it, beside what fits. Both together are closed per key,
// since each of them is. A note is some commits old; what it says stays true.

// noteRuns is how many runs of a partition are listed where a note may take them.
const noteRuns = 1 << 16

// takesNotes reports whether what does not fit may go into a note. With a store only its
// rows say what is done.
func (s *Session) takesNotes(p *Partition) bool { return p.park != nil && s.cfg.Store == nil }

func (s *Session) mostRuns(p *Partition, limit int) int {
	if s.takesNotes(p) {
		return max(progress.MaxRuns(limit), noteRuns)
	}
	return progress.MaxRuns(limit)
}

// note has a note written, at most one in a commit interval, and names the last one that
// was read back in a commit whose text has left something out. Called with Session.mu
// held.
func (s *Session) note(p *Partition, offset int64, text string, m progress.Meta, dropped progress.Dropped, limit int) (string, progress.Meta, progress.Dropped) {
	if !s.takesNotes(p) {
		return text, m, dropped
	}
	if now := time.Now(); !p.ends.leaving && now.Sub(p.noted) >= s.cfg.CommitInterval {
		p.noted = now
		p.park.Note(Noted{Ahead: m.Ahead, CompleteUpTo: m.CompleteUpTo, Attempts: progress.Unsettled(offset, m.Attempts)})
	}
	place, _ := p.park.Noted()
	if place == nil {
		return text, m, dropped
	}
	with := m
	with.Extra = progress.WithNote(m.Extra, place, m.Token)
	noting, still, err := s.encode(offset, with, limit)
	if err != nil {
		return text, m, dropped
	}
	return noting, with, p.beyondNote(offset, noting, with, still)
}

// noteNow has a note written of what the last commit will leave out.
func (s *Session) noteNow(p *Partition) {
	if !s.takesNotes(p) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.noted = time.Time{}
	_, _ = s.snapshot(p, false) // an error is told of when it is sealed
}

// beyondNote takes what the note says that a text names out of what the text has left
// out.
func (p *Partition) beyondNote(offset int64, text string, m progress.Meta, dropped progress.Dropped) progress.Dropped {
	if dropped.Ahead == 0 || p.park == nil {
		return dropped
	}
	place, note := p.park.Noted()
	d, err := progress.Decode(offset, text)
	if err != nil || place == nil {
		return dropped
	}
	if named := progress.NoteOf(d.Extra, d.Token); named == nil || *named != *place {
		return dropped
	}
	dropped.Ahead = 0
	at := 0
	for _, r := range m.Ahead {
		from := max(r.From, d.CompleteUpTo)
		for at < len(note.Ahead) && note.Ahead[at].To <= from {
			at++
		}
		for i := at; from < r.To; i++ {
			if i == len(note.Ahead) || note.Ahead[i].From >= r.To {
				dropped.Ahead += r.To - from
				break
			}
			dropped.Ahead += max(0, note.Ahead[i].From-from)
			from = max(from, note.Ahead[i].To)
		}
	}
	return dropped
}

// withNoted is what the metadata of a commit and the note that it names say together. A
// note that does not apply any more is not named again.
func withNoted(m progress.Meta, n *Noted, applies bool) progress.Meta {
	if n == nil || !applies {
		m.Extra = progress.WithNote(m.Extra, nil, 0)
		return m
	}
	m.Ahead = slices.Concat(m.Ahead, n.Ahead)
	slices.SortFunc(m.Ahead, func(a, b progress.Run) int { return cmp.Compare(a.From, b.From) })
	m.Ahead = join(m.Ahead)
	m.CompleteUpTo = max(m.CompleteUpTo, n.CompleteUpTo)
	known := slices.Clone(m.Attempts) // younger than the note
	for _, a := range n.Attempts {
		if !within(m.Ahead, a.Offset) && !slices.ContainsFunc(m.Attempts, func(b progress.Attempt) bool { return b.Offset == a.Offset }) {
			known = append(known, a)
		}
	}
	slices.SortFunc(known, func(a, b progress.Attempt) int { return cmp.Compare(a.Offset, b.Offset) })
	m.Attempts = known
	return m
}
