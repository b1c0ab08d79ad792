package orderly

import (
	"errors"

	"github.com/orderly-go/orderly/internal/lane"
)

// ErrProcessEnded is the failure of a record that used up its attempts because the
// process ended, without a result, in each of them. It was the only record of its
// partition that ran then.
var ErrProcessEnded = errors.New("the process ended during each attempt of the record, which was the only one of its partition that ran")

// ended says that the record is not to be tried: the process has ended with it as often
// as attempts are allowed. Under block it is tried for ever at the maximum backoff, here
// as everywhere: that the first of these passes is all that an owner can see to.
func (h handling) ended(r *lane.Run, it *lane.Item) error {
	if it.Payload.(*Message).release != nil {
		return nil // its attempts were used up before; a release counts by itself
	}
	if !r.Serial() || int(it.Attempts) < h.cfg.Retry.MaxAttempts {
		return nil
	}
	if p := h.cfg.OnExhausted; p == PolicyBlock || p == PolicyPark {
		// Under park what cannot be parked blocks.
		if tr := it.Payload.(*Message).trouble; tr != nil && tr.told != "" {
			return nil
		}
	}
	return Permanent(ErrProcessEnded)
}
