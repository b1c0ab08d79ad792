package explain

// stems finds many literals in one pass over a line (Aho-Corasick), ignoring the
// case of ASCII letters. Nearly all lines of a log hold none: this is what decides
// how fast a log is read.
type stems struct {
	next [][256]int32 // by state: the state after a byte
	ends [][]int32    // by state: the literals that end here
}

func fold(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func newStems(literals []string) *stems {
	s := &stems{next: make([][256]int32, 1), ends: make([][]int32, 1)}
	for i, lit := range literals {
		at := int32(0)
		for j := range len(lit) {
			c := fold(lit[j])
			if s.next[at][c] == 0 {
				s.next = append(s.next, [256]int32{})
				s.ends = append(s.ends, nil)
				s.next[at][c] = int32(len(s.next) - 1)
			}
			at = s.next[at][c]
		}
		s.ends[at] = append(s.ends[at], int32(i))
	}
	s.link()
	return s
}

// link turns the tree into an automaton, state by state outwards: where a literal
// cannot go on, the longest of its ends that begins another one does.
func (s *stems) link() {
	back := make([]int32, len(s.next))
	var queue []int32
	for _, to := range s.next[0] {
		if to != 0 {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		s.ends[at] = append(s.ends[at], s.ends[back[at]]...)
		for c := range 256 {
			to := s.next[at][c]
			if to == 0 {
				s.next[at][c] = s.next[back[at]][c]
				continue
			}
			back[to] = s.next[back[at]][c]
			queue = append(queue, to)
		}
	}
	for st := range s.next { // the scan then need not fold
		for c := byte('A'); c <= 'Z'; c++ {
			s.next[st][c] = s.next[st][fold(c)]
		}
	}
}

// any says whether a literal is in the line.
func (s *stems) any(line []byte) bool {
	at := int32(0)
	for _, c := range line {
		at = s.next[at][c]
		if len(s.ends[at]) > 0 {
			return true
		}
	}
	return false
}

// each calls f for each literal in the line, with where it ends, until f says no.
func (s *stems) each(line string, f func(literal, end int) bool) {
	at := int32(0)
	for i := range len(line) {
		at = s.next[at][line[i]]
		for _, lit := range s.ends[at] {
			if !f(int(lit), i+1) {
				return
			}
		}
	}
}
