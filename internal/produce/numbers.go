package produce

// Numbers counts the records of each key of a partition: 1, 2, 3 ... It holds a
// bounded number of keys. When there is no room for another one the writer epoch
// has to be raised and all counts begin anew under it: to forget single keys
// would give a number twice in one epoch.
type Numbers struct {
	last  map[string]*uint64 // pointers: to write into a map takes a copy of the key each time
	null  uint64
	limit int
}

// NewNumbers returns a table for so many keys.
func NewNumbers(limit int) *Numbers { return &Numbers{limit: limit} }

// Next returns the key's next number; not ok when the table is full.
func (n *Numbers) Next(key []byte) (number uint64, ok bool) {
	if key == nil {
		n.null++
		return n.null, true
	}
	if last := n.last[string(key)]; last != nil {
		*last++
		return *last, true
	}
	if len(n.last) >= n.limit {
		return 0, false
	}
	if n.last == nil {
		n.last = make(map[string]*uint64)
	}
	first := uint64(1)
	n.last[string(key)] = &first
	return first, true
}

// Reset forgets all counts: the epoch was raised.
func (n *Numbers) Reset() { n.last, n.null = nil, 0 }
