package parked

import (
	"context"
	"fmt"
	"slices"

	"github.com/orderly-go/orderly/internal/group"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
)

// Note is part of group.Parked.
func (p *Partition) Note(n group.Noted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.owner == nil || slices.Equal(n.Ahead, p.lastNote.Ahead) && slices.Equal(n.Attempts, p.lastNote.Attempts) {
		return
	}
	attempts, ahead, upTo := n.Attempts, n.Ahead, n.CompleteUpTo
	if most := p.mostNote; most > 0 {
		attempts = attempts[:min(len(attempts), most/2)]
		if most -= len(attempts); len(ahead) > most {
			ahead = ahead[:most]
			upTo = 0
			if most > 0 {
				upTo = ahead[most-1].To
			}
		}
	}
	body := parking.ProgressBody{UpTo: upTo}
	for _, a := range attempts {
		body.Attempts = append(body.Attempts, parking.Attempts{Offset: a.Offset, Count: a.Count})
	}
	for _, r := range ahead {
		body.Ahead = append(body.Ahead, parking.Span{From: r.From, To: r.To})
	}
	if actions, ok := p.owner.Note(body); ok {
		p.lastNote = group.Noted{Ahead: slices.Clone(n.Ahead), Attempts: slices.Clone(n.Attempts)}
		p.did(actions)
	}
}

// Noted is part of group.Parked.
func (p *Partition) Noted() (*progress.Note, group.Noted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == nil || p.owner.Noted() == nil {
		return nil, group.Noted{}
	}
	n := p.owner.Noted()
	return n.Place(), *notedOf(n)
}

func notedOf(n *parking.Noted) *group.Noted {
	body := n.Entry.Progress
	out := &group.Noted{CompleteUpTo: body.UpTo}
	for _, a := range body.Attempts {
		out.Attempts = append(out.Attempts, progress.Attempt{Offset: a.Offset, Count: a.Count})
	}
	for _, r := range body.Ahead {
		out.Ahead = append(out.Ahead, progress.Run{From: r.From, To: r.To})
	}
	return out
}

// readNote reads the note that a commit names, at a position before the topic's end. One
// that is not there says nothing.
func readNote(ctx context.Context, l *topicLog, partition int32, at *progress.Note) (*parking.Noted, error) {
	page, err := l.Fetch(ctx, partition, at.Pos, 64<<10, 250)
	if len(page.Entries) > 0 {
		if r := page.Entries[0]; r.Pos == at.Pos && parking.Is(r.Entry, at) {
			return &parking.Noted{Pos: r.Pos, Entry: r.Entry}, nil
		}
		return nil, nil
	}
	if err == nil && page.Next <= at.Pos { // a leader that does not know yet how far its log counts
		err = fmt.Errorf("nothing is returned from offset %d on, and the topic's partition goes on to %d", at.Pos, page.End)
	}
	return nil, err
}
