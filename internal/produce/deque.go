package produce

// A deque holds the records that wait: in at the back, out at the front, and
// back to the front when the client did not take them.
type deque struct {
	items []*Item
	head  int
	wire  int
}

func (d *deque) len() int { return len(d.items) - d.head }

func (d *deque) at(i int) *Item { return d.items[d.head+i] }

func (d *deque) push(it *Item) {
	if len(d.items) == cap(d.items) && d.head > len(d.items)/2 {
		n := copy(d.items, d.items[d.head:])
		clear(d.items[n:])
		d.items, d.head = d.items[:n], 0
	}
	d.items = append(d.items, it)
	d.wire += int(it.Wire)
}

// take removes the first n, which need so many bytes.
func (d *deque) take(n, wire int) []*Item {
	d.wire -= wire
	if n == d.len() {
		out := d.items[d.head:]
		d.items, d.head = make([]*Item, 0, min(len(out), 1024)), 0
		return out
	}
	out := make([]*Item, n)
	front := d.items[d.head : d.head+n]
	copy(out, front)
	clear(front)
	d.head += n
	return out
}

func (d *deque) putBack(items []*Item) {
	if d.head < len(items) {
		grown := make([]*Item, len(items), len(items)+d.len()+16)
		d.items, d.head = append(grown, d.items[d.head:]...), len(items)
	}
	d.head -= len(items)
	copy(d.items[d.head:], items)
	for _, it := range items {
		d.wire += int(it.Wire)
	}
}

// filter keeps those for which keep returns true; it is called in order.
func (d *deque) filter(keep func(*Item) bool) {
	kept := d.items[:d.head]
	wire := 0
	for _, it := range d.items[d.head:] {
		if keep(it) {
			kept = append(kept, it)
			wire += int(it.Wire)
		}
	}
	clear(d.items[len(kept):])
	d.items, d.wire = kept, wire
}
