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
)

// A unit is one sequence of a partition. It is guarded by Partition.mu.
type unit struct {
	id         uint64
	head, tail *Item
	n          int // queued items, those with a worker included
	state      unitState
	isLane     bool
	side       bool // a key that was detached from its lane
	phantoms   int  // handlers of an earlier ownership that still run
	solo       int  // so many items from the head run one by one
	inFlight   int  // items with the worker
	due        time.Time
	since      time.Time // when the head failed first
	heapAt     int       // place in the timers, -1 when in none
	nextReady  *unit
}

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

// drop removes the first n items.
func (u *unit) drop(n int) {
	for range n {
		it := u.head
		u.head = it.next
		it.next = nil
		u.n--
	}
	if u.head == nil {
		u.tail = nil
	}
}

// replaceHead puts it in the place of the unit's first item.
func (u *unit) replaceHead(it *Item) {
	old := u.head
	it.next = old.next
	old.next = nil
	u.head = it
	if u.tail == old {
		u.tail = it
	}
}

// readyList is a first-in first-out list through unit.nextReady.
type readyList struct {
	head, tail *unit
	n          int
}

func (l *readyList) push(u *unit) {
	u.state = unitReady
	u.nextReady = nil
	if l.head == nil {
		l.head = u
	} else {
		l.tail.nextReady = u
	}
	l.tail = u
	l.n++
}

func (l *readyList) pop() *unit {
	u := l.head
	l.head = u.nextReady
	if l.head == nil {
		l.tail = nil
	}
	u.nextReady = nil
	l.n--
	return u
}

// timers is a heap of units by the time at which they become ready.
type timers []*unit

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due.Before(t[j].due) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].heapAt, t[j].heapAt = i, j
}

func (t *timers) Push(x any) {
	u := x.(*unit)
	u.heapAt = len(*t)
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
