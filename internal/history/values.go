package history

import "hash/maphash"

// values remembers which record was seen at which offset of a partition, for
// the last window of offsets, so that two readers (and acknowledgements) can be
// compared without keeping all records.
type values struct {
	pages map[int64]*valuePage
	below int64 // pages under this one are forgotten
}

const (
	pageBits  = 7
	maxValues = 1 << 16 // offsets of one partition
	maxPages  = maxValues >> pageBits
)

type valuePage [1 << pageBits]value64

// value64 is a record's fingerprint, 0 when nothing was seen, and the event.
type value64 struct {
	print uint64
	n     int64
}

var valueSeed = maphash.MakeSeed()

// fingerprint tells numbered records apart. One without a number is no witness.
func (e *Event) fingerprint() uint64 {
	h := maphash.Comparable(valueSeed, struct {
		key           Key
		writer        string
		epoch, number int64
	}{e.Key, e.Writer, e.Epoch, e.Number})
	return max(h, 1)
}

// at gives the cell of an offset, or nil when it is forgotten.
func (v *values) at(offset int64) *value64 {
	no := offset >> pageBits
	if no < v.below {
		return nil
	}
	page := v.pages[no]
	if page == nil {
		if v.pages == nil {
			v.pages = map[int64]*valuePage{}
		}
		page = new(valuePage)
		v.pages[no] = page
		if len(v.pages) > maxPages {
			// The window ends at the highest page; the lowest ones fall out.
			top := no
			for n := range v.pages {
				top = max(top, n)
			}
			v.below = max(v.below, top-maxPages+1)
			for n := range v.pages {
				if n < v.below {
					delete(v.pages, n)
				}
			}
			if no < v.below {
				return nil
			}
		}
	}
	return &page[offset&(1<<pageBits-1)]
}

// observe compares the record that an event saw at an offset with what was seen
// there before.
func (c *Checker) observe(p *logPart, e *Event) {
	if e.Number == 0 {
		return
	}
	cell := p.values.at(e.Offset)
	if cell == nil {
		c.rep.Uncompared++
		return
	}
	print := e.fingerprint()
	switch cell.print {
	case print:
	case 0:
		*cell = value64{print, e.N}
	default:
		c.found(InconsistentOffset, e, []int64{cell.n}, []Record{e.record()},
			"%s: event %d saw another record at this offset", e.name(), cell.n)
		if e.Kind == LogRead { // whoever agrees with the log is right
			*cell = value64{print, e.N}
		}
	}
}
