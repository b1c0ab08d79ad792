//go:build synctests

package sim

import (
	"fmt"

	"github.com/orderly-go/orderly/internal/history"
)

// superseded names the handlers that began under a token although another member
// had a higher one by then: stricter than the checker, which asks only whether
// handlers overlap. A member's own session clock has to stop it before that. Those
// that were frozen in the checker's sense when the other began are excused.
func superseded(events []history.Event) (out []string) {
	type owner struct {
		member string
		token  int64
		n      int64
	}
	type holding struct {
		member string
		at     place
	}
	newest := make(map[place]owner)
	frozen := make(map[string]bool)
	missed := make(map[holding]bool) // did not take part in the last handover
	for _, e := range events {
		at := place{e.Topic, e.Partition}
		switch e.Kind {
		case history.Freeze:
			if e.Topic == "" {
				frozen[e.Member] = true
			}
		case history.Thaw:
			delete(frozen, e.Member)
		case history.Own:
			newest[at] = owner{e.Member, e.Token, e.N}
			for m := range frozen {
				missed[holding{m, at}] = true
			}
			delete(missed, holding{e.Member, at})
		case history.Start:
			if o := newest[at]; o.member != e.Member && e.Token < o.token && !missed[holding{e.Member, at}] {
				out = append(out, fmt.Sprintf("event %d: %s began offset %d of partition %d under token %d, although %s had token %d since event %d",
					e.N, e.Member, e.Offset, e.Partition, e.Token, o.member, o.token, o.n))
			}
		}
	}
	return out
}
