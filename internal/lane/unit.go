package lane

import "time"

type unitState uint8

const (
	unitNew     unitState = iota
	unitReady             // in the partition's ready list
	unitRunning           // with a worker (or with a handler of an earlier ownership)
	unitBlocked           // its head failed and waits in the timers for its next attempt
	unitGather            // a lane that waits for more records before its batch runs
	unitHeld              // its head failed for good: nothing of it runs under this ownership
	unitAwaits            // its head failed, and something else decides when it goes on
)

// A unit is one sequence of a partition. It is guarded by Partition.mu. There may
// be one per outstanding record, so it is small: times are counted from the
// pool's epoch.
type unit struct {
	id         uint64
	head, tail *Item
	next       *unit         // in the ready list or among the free ones
	await      *Await        // in state unitAwaits
	due        time.Duration // next attempt, or end of gathering
	since      time.Duration // when the head failed first; zero: it has not
	n          int32         // queued items, without those that are with a worker
	inFlight   int32         // items with the worker
	solo       int32         // so many items from the head run one by one
	phantoms   int32         // handlers of an earlier ownership that still run
	heapAt     int32         // place in the timers, -1 when in none
	state      unitState
	isLane     bool
	side       bool // a key that was detached from its lane, or aside
	aside      bool // of injected items
	timed      bool // in the timers, and not before its time: an Await was answered so
}

// push puts an item behind all others.
func (u *unit) push(it *Item) {
	it.next = nil
	if u.head == nil {
		u.head = it
	} else {
		u.tail.next = it
	}
	u.tail = it
	u.n++
}

// shift takes the first item out.
func (u *unit) shift() *Item {
	it := u.head
	u.head = it.next
	if u.head == nil {
		u.tail = nil
	}
	it.next = nil
	u.n--
	return it
}

// pop moves up to limit items from the unit's head to the end of items.
func (u *unit) pop(items []*Item, limit int) []*Item {
	for ; limit > 0 && u.head != nil; limit-- {
		items = append(items, u.shift())
	}
	return items
}

// prepend gives items back to the unit's head, in their order.
func (u *unit) prepend(items []*Item) {
	for i := len(items) - 1; i >= 0; i-- {
		it := items[i]
		it.next = u.head
		u.head = it
		if u.tail == nil {
			u.tail = it
		}
		u.n++
	}
}

// A unitList is a list through unit.next.
type unitList struct {
	head, tail *unit
	n          int
}

func (l *unitList) push(u *unit) {
	u.next = nil
	if l.head == nil {
		l.head = u
	} else {
		l.tail.next = u
	}
	l.tail = u
	l.n++
}

func (l *unitList) pushFront(u *unit) {
	u.next = l.head
	l.head = u
	if l.tail == nil {
		l.tail = u
	}
	l.n++
}

func (l *unitList) pop() *unit {
	u := l.head
	l.head = u.next
	if l.head == nil {
		l.tail = nil
	}
	u.next = nil
	l.n--
	return u
}

// timers is a heap of units by the time at which they become ready.
type timers []*unit

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due < t[j].due }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].heapAt, t[j].heapAt = int32(i), int32(j)
}

func (t *timers) Push(x any) {
	u := x.(*unit)
	u.heapAt = int32(len(*t))
	*t = append(*t, u)
}

func (t *timers) Pop() any {
	old := *t
	u := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	u.heapAt = -1
	return u
}
