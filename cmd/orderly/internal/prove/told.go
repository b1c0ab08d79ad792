package prove

import (
	"fmt"

	"github.com/orderly-go/orderly/internal/history"
)

// told says what the client was told of its records when it was not only that they
// are written.
func told(r *history.Report) (facts []string) {
	for _, f := range []struct {
		n    int
		what string
	}{{r.Failed, "records that the client says are not written"}, {r.Unclear, "records that failed, written or not"}} {
		if f.n > 0 {
			facts = append(facts, fmt.Sprintf("%s: %d", f.what, f.n))
		}
	}
	return facts
}
