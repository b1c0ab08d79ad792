package parking

// Due returns when a key whose head failed so is released, in milliseconds; Waits: at an
// operator's word only. Of a head that only followed others it returns 0: now.
func (r *Rules) Due(f Failure) int64 {
	if f == (Failure{}) {
		return 0
	}
	return r.due(&f)
}

// Owner returns what the last owner says of itself; nil: there was none.
func (s *State) Owner() *MarkerBody { return s.last }
