package parking

import "slices"

// Offsets are those of the parked records, sorted.
func (s *State) Offsets() (out []int64) {
	for _, k := range s.keys {
		for i := range k.recs {
			out = append(out, k.recs[i].offset)
		}
	}
	slices.Sort(out)
	return out
}

// Released is the highest offset up to which a key is known to be done that has no
// parked records any more; 0: there is none.
func (s *State) Released() (upTo int64) {
	for _, k := range s.keys {
		if len(k.recs) == 0 {
			upTo = max(upTo, k.upTo)
		}
	}
	return upTo
}
