package orderly

import (
	"errors"
	"fmt"

	"github.com/orderly-go/orderly/internal/lane"
)

// ErrProcessEnded is the failure of a record that used up its attempts, in some of which
// the process ended without a result. It was the only record of its partition that ran
// then. Of a record whose attempts all failed in an ordinary way it is never told.
var ErrProcessEnded = errors.New("the process ended during attempts of the record, which was the only one of its partition that ran")

// ended says that the record is not to be tried: its attempts are used up, and the
// process has ended with it. One whose attempts only failed is tried once more, as
// everywhere. Under block it is tried for ever at the maximum backoff, here as
// everywhere: that the first of these passes is all that an owner can see to.
func (h handling) ended(r *lane.Run, it *lane.Item) error {
	if it.Payload.(*Message).release != nil {
		return nil // its attempts were used up before; a release counts by itself
	}
	times := r.Ended(it)
	if times == 0 || int(it.Attempts) < h.cfg.Retry.MaxAttempts {
		return nil
	}
	if m := it.Payload.(*Message); h.cfg.OnExhausted == PolicyBlock && m.trouble != nil && m.trouble.told != "" {
		return nil
	}
	return Permanent(fmt.Errorf("%w: in %d of %d", ErrProcessEnded, times, it.Attempts))
}
