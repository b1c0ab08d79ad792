package history

import (
	"cmp"
	"slices"
)

// Role says why an event is part of an example.
type Role string

// The roles.
const (
	RoleFinding   Role = "finding"   // it shows the violation
	RoleRecord    Role = "record"    // of a record that the violation is about
	RoleFault     Role = "fault"     // a fault that hit on the way
	RoleNeighbour Role = "neighbour" // a record of the log beside it
)

// Shown is an event of an example.
type Shown struct {
	Role  Role  `json:"role"`
	Event Event `json:"event"`
}

// Example is one violation with the fewest events that show it.
type Example struct {
	Violation Violation `json:"violation"`
	Events    []Shown   `json:"events"`        // in the order of the history
	Cut       int       `json:"cut,omitempty"` // events left out, when it would be too long
}

const (
	beside      = 3            // records of the log before and behind
	maxShown    = 40           // events of one example
	maxGathered = 4 * maxShown // while they are gathered
	maxNearest  = 2            // faults that hit the partition, not the record itself
)

// Smallest picks, for each class, the violation whose events lie closest
// together: the one that is easiest to understand.
func Smallest(vs []Violation) []Violation {
	best := map[Class]Violation{}
	width := func(v Violation) int64 {
		switch len(v.Events) {
		case 0:
			return 1 << 62
		case 1:
			return 1 << 61
		}
		return v.Events[len(v.Events)-1] - v.Events[0]
	}
	for _, v := range vs {
		if b, ok := best[v.Class]; !ok || width(v) < width(b) {
			best[v.Class] = v
		}
	}
	var out []Violation
	for _, c := range Classes() {
		if v, ok := best[c]; ok {
			out = append(out, v)
		}
	}
	return out
}

// recordID names a numbered record; spot names one by its place.
type (
	recordID struct {
		topic, writer string
		key           Key
		epoch, number int64
	}
	spot struct {
		place
		offset int64
	}
)

// gatherer collects the events of one example.
type gatherer struct {
	v       Violation
	shown   map[int64]Shown
	behind  map[place]int // records of the log still to take
	last    int64         // number of the violation's last event
	nearest []Event
	cut     int
}

// Examples goes through a history once more and gives the events that show the
// violations, in their order. scan hands each event of the history to fn.
func Examples(scan func(fn func(Event) error) error, vs []Violation) ([]Example, error) {
	var gs []*gatherer
	byN := map[int64][]*gatherer{}
	byID := map[recordID][]*gatherer{}
	bySpot := map[spot][]*gatherer{}
	inPart := map[place][]*gatherer{}
	before := map[place][]Event{} // the last records of the log
	for _, v := range vs {
		g := &gatherer{v: v, shown: map[int64]Shown{}, behind: map[place]int{}, last: 1<<63 - 1}
		gs = append(gs, g)
		for _, n := range v.Events {
			byN[n] = append(byN[n], g)
			g.last = n
		}
		records := append([]Record{{Topic: v.Topic, Partition: v.Partition, Offset: v.Offset}}, v.Records...)
		for _, r := range records {
			if r.Topic == "" {
				continue
			}
			if r.Number > 0 {
				id := recordID{r.Topic, r.Writer, r.Key, r.Epoch, r.Number}
				byID[id] = append(byID[id], g)
			}
			if r.Partition >= 0 {
				at := place{r.Topic, r.Partition}
				inPart[at] = append(inPart[at], g)
				if r.Offset >= 0 {
					bySpot[spot{at, r.Offset}] = append(bySpot[spot{at, r.Offset}], g)
				}
			}
		}
	}
	var last int64
	err := scan(func(e Event) error {
		if e.N == 0 {
			e.N = last + 1
		}
		last = e.N
		if e.fault() != nil {
			return nil // it cannot stand in a history, nor in an example
		}
		at := place{e.Topic, e.Partition}
		inLog := e.Kind == LogRead || e.Kind == Log
		show := func(g *gatherer, role Role) {
			if _, ok := g.shown[e.N]; ok && role != RoleFinding {
				return
			}
			if len(g.shown) >= maxGathered && role != RoleFinding {
				g.cut++
				return
			}
			g.shown[e.N] = Shown{role, e}
			if inLog && role != RoleNeighbour {
				for _, b := range before[at] {
					if _, ok := g.shown[b.N]; !ok {
						g.shown[b.N] = Shown{RoleNeighbour, b}
					}
				}
				g.behind[at] = beside
			}
		}
		if e.Kind == Fault {
			for _, g := range gs {
				g.fault(&e, byID)
			}
			return nil
		}
		for _, g := range byN[e.N] {
			show(g, RoleFinding)
		}
		if e.Number > 0 {
			for _, g := range byID[recordID{e.Topic, e.Writer, e.Key, e.Epoch, e.Number}] {
				show(g, RoleRecord)
			}
		}
		if (shapes[e.Kind].must|shapes[e.Kind].may)&fOffset != 0 && e.located() && e.Kind != Commit {
			for _, g := range bySpot[spot{at, e.Offset}] {
				show(g, RoleRecord)
			}
		}
		if inLog {
			for _, g := range inPart[at] {
				if _, ok := g.shown[e.N]; !ok && g.behind[at] > 0 {
					g.behind[at]--
					g.shown[e.N] = Shown{RoleNeighbour, e}
				}
			}
			near := append(before[at], e)
			before[at] = near[max(0, len(near)-beside):]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]Example, 0, len(gs))
	for _, g := range gs {
		out = append(out, g.example())
	}
	return out, nil
}

// fault takes a fault that hit one of the records, or else the last ones that
// hit the partition before the violation.
func (g *gatherer) fault(e *Event, byID map[recordID][]*gatherer) {
	if e.Number > 0 && len(g.shown) < maxGathered && slices.Contains(byID[recordID{e.Topic, e.Writer, e.Key, e.Epoch, e.Number}], g) {
		g.shown[e.N] = Shown{RoleFault, *e}
		return
	}
	if e.N > g.last || e.Topic != "" && e.Topic != g.v.Topic || e.Topic != "" && e.Partition >= 0 && g.v.Partition >= 0 && e.Partition != g.v.Partition {
		return
	}
	g.nearest = append(g.nearest, *e)
	g.nearest = g.nearest[max(0, len(g.nearest)-maxNearest):]
}

func (g *gatherer) example() Example {
	x := Example{Violation: g.v}
	first := int64(1<<63 - 1)
	for n, s := range g.shown {
		if s.Role != RoleNeighbour {
			first = min(first, n)
		}
		x.Events = append(x.Events, s)
	}
	exact := slices.ContainsFunc(x.Events, func(s Shown) bool { return s.Role == RoleFault })
	for _, f := range g.nearest {
		if !exact && f.N > first {
			x.Events = append(x.Events, Shown{RoleFault, f})
		}
	}
	rank := map[Role]int{RoleFinding: 0, RoleFault: 1, RoleRecord: 2, RoleNeighbour: 3}
	slices.SortFunc(x.Events, func(a, b Shown) int {
		return cmp.Or(rank[a.Role]-rank[b.Role], cmp.Compare(a.Event.N, b.Event.N))
	})
	if x.Cut = max(0, len(x.Events)-maxShown); x.Cut > 0 {
		x.Events = x.Events[:maxShown]
	}
	x.Cut += g.cut
	slices.SortFunc(x.Events, func(a, b Shown) int { return cmp.Compare(a.Event.N, b.Event.N) })
	return x
}
