package group

import (
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/internal/rewind"
)

// A ResetError ends a Session at its start: an operator's reset of offsets was begun
// and is not through.
type ResetError struct {
	Topic     string
	Partition int32
	Offset    int64 // where it leads
}

func (e *ResetError) Error() string {
	return fmt.Sprintf("topic %s partition %d: a reset to offset %d is not through", e.Topic, e.Partition, e.Offset)
}

// A Moved is an offset that the group was moved to, without a word to the store.
type Moved struct {
	Offset  int64
	Foreign bool // by something other than orderly
}

// resets looks for what operators did to the offsets of partitions: a reset that is not
// through is an error; one of which a store must know comes with its ask.
func (s *Session) resets(parts []*Partition, read map[tp]stored) error {
	for _, p := range parts {
		st := read[p.tp]
		if meta, err := progress.Decode(st.offset, st.text); st.offset >= 0 && err == nil {
			mark, _, err := rewind.Of(meta.Extra)
			if err != nil {
				return &ParkingError{fmt.Errorf("topic %s partition %d: %w", p.topic, p.partition, err)}
			}
			if mark != nil && mark.Stage == rewind.Begun {
				return &ResetError{Topic: p.topic, Partition: p.partition, Offset: mark.Offset}
			}
		}
	}
	return nil
}

// movedTo says that a partition that begins was moved without a word to its store.
func (s *Session) movedTo(p *Partition, st stored) *Moved {
	s.mu.Lock()
	first := p.state == granting
	s.mu.Unlock()
	if !first || st.offset < 0 {
		return nil
	}
	meta, err := progress.Decode(st.offset, st.text)
	var moved *progress.MovedError
	if st.text == "" || errors.Is(err, progress.ErrForeign) || errors.As(err, &moved) {
		return &Moved{Offset: st.offset, Foreign: true}
	}
	if mark, _, _ := rewind.Of(meta.Extra); mark != nil {
		return &Moved{Offset: mark.Offset}
	}
	return nil
}
