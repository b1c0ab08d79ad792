package audit

import "encoding/binary"

// append writes the state for a file.
func (s *state) append(b []byte) []byte {
	b = append(b, s.id[:]...)
	var key []byte
	var strands []strand
	if s.more != nil {
		key, strands = s.more.key, s.more.strands
	}
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.AppendVarint(b, int64(len(strands)))
	b = s.strand.append(b)
	for i := range strands {
		b = strands[i].append(b)
	}
	return b
}

func (st *strand) append(b []byte) []byte {
	forgot := int64(0)
	if st.forgot {
		forgot = 1
	}
	for _, v := range [...]int64{int64(st.partition), int64(st.writer), st.epoch, st.records, st.first, st.last, st.since, st.till, st.lo, st.hi, forgot, int64(len(st.below))} {
		b = binary.AppendVarint(b, v)
	}
	for _, o := range st.below {
		for _, v := range [...]int64{o.lo, o.hi, o.past, o.by} {
			b = binary.AppendVarint(b, v)
		}
	}
	return b
}

// stateOf reads one that append wrote, all of b, and what it takes in memory.
func stateOf(b []byte) (s state, cost int64, err error) {
	d := decoder{b: b}
	copy(s.id[:], d.bytes(len(s.id)))
	key := d.text()
	n := d.int()
	cost = stateCost
	s.strand = d.strand(&cost)
	if n > mostStrands {
		return s, 0, errSpill
	}
	if len(key) > 0 || n > 0 {
		s.more = &further{key: append([]byte{}, key...)}
		cost += int64(len(key)) + 64
	}
	for range n {
		s.more.strands = append(s.more.strands, d.strand(&cost))
		cost += strandCost
	}
	return s, cost, d.err
}

func (d *decoder) strand(cost *int64) strand {
	st := strand{partition: int32(d.int()), writer: uint32(d.int()), epoch: d.int(), records: d.int(), first: d.int(), last: d.int(),
		since: d.int(), till: d.int(), lo: d.int(), hi: d.int(), forgot: d.int() == 1}
	n := d.int()
	if n < 0 || n > int64(len(d.b)) {
		d.err = errSpill
		return st
	}
	for range n {
		st.below = append(st.below, span{d.int(), d.int(), d.int(), d.int()})
	}
	*cost += n * spanCost
	return st
}
