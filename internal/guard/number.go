package guard

// A Number is what a record says of its place in its key's sequence.
type Number struct {
	Writer string // one producer; empty where numbers belong to the data
	Epoch  int64  // of the writer: a higher one begins a new count
	N      int64  // not negative
	// Sparse: the writer's numbers rise and leave some out, as offsets do. None is
	// missing, and one that is not above the last has come before.
	Sparse bool
}

// A Finding is what a number says of its record.
type Finding uint8

const (
	// Next: it follows the last one, or nothing is known of the key's writer yet.
	Next Finding = iota
	// Duplicate: a record with this number is done.
	Duplicate
	// Gap: numbers between the last one and this one have not come.
	Gap
	// Late: it fills a gap.
	Late
	// NewCount: another writer than the last one, or a higher epoch of it.
	NewCount
	// Zombie: a lower epoch than the writer's highest: it was replaced and does
	// not know it.
	Zombie
	// Unsure: it is not above the last one, and whether it has come before is
	// not known: it was forgotten, or came before the first one that was seen.
	Unsure
)

func (f Finding) String() string {
	return [...]string{"next", "duplicate", "gap", "late", "new count", "zombie", "unsure"}[f]
}

// A Verdict is a Finding with its figures.
type Verdict struct {
	Finding
	Last    int64 // the highest number so far, of this writer and epoch
	Missing int64 // Gap: how many numbers are missing
	Highest int64 // Zombie: the writer's highest epoch
}
