package lane

// Serial makes a partition run one item at a time while some of its records, read
// by an owner that died with them, have not been tried: what dies with one item running
// dies by that one.
type Serial struct {
	// Until is the offset from which on no record can have been read before. Zero: the
	// partition is not run so.
	Until int64
	// Before is called before each attempt, without a lock. It returns true when it is
	// recorded where the next owner finds it; false only when the partition is halted.
	Before func(it *Item) bool
	// Ended is, by offset, in how many of a record's attempts the process ended.
	Ended map[int64]int
}

// serially is the state of a partition that runs one item at a time. It is guarded by
// Partition.mu.
type serially struct {
	on    bool
	left  int                // records below Until that were not tried
	tried map[int64]struct{} // those that were and failed
}

// Serial says that the run is the only one of its partition.
func (r *Run) Serial() bool { return r.before != nil }

// Ended is in how many attempts of the item the process ended, as far as it is recorded;
// it is known only of a run that is the only one of its partition.
func (r *Run) Ended(it *Item) int {
	if !r.Serial() {
		return 0
	}
	return r.Part.cfg.Serial.Ended[it.Offset]
}

// came counts a record that is queued.
func (p *Partition) came(it *Item) {
	if p.serial.on && it.Offset < p.cfg.Serial.Until {
		p.serial.left++
	}
}

// wasTried notes the first attempt of a record that did not end the process. An injected
// one was not counted when it came.
func (p *Partition) wasTried(u *unit, it *Item, done bool) {
	s := &p.serial
	if !s.on || it.Offset >= p.cfg.Serial.Until || u != nil && u.aside {
		return
	}
	if _, again := s.tried[it.Offset]; again {
		return
	}
	s.left--
	if !done {
		if s.tried == nil {
			s.tried = make(map[int64]struct{})
		}
		s.tried[it.Offset] = struct{}{}
	}
}

// busy says that nothing may start beside what runs.
func (p *Partition) busy() bool { return p.serial.on && p.running > 0 }

// before is what is called before an attempt: of a partition that runs one by one.
func (p *Partition) before() func(it *Item) bool {
	if p.serial.on {
		return p.cfg.Serial.Before
	}
	return nil
}

// EndSerial lets the partition run side by side when all queued records below Until
// were tried; it reports whether it did. The caller knows that all of them are queued.
func (p *Partition) EndSerial() bool {
	p.mu.Lock()
	if p.serial.on && p.serial.left > 0 {
		p.mu.Unlock()
		return false
	}
	p.serial = serially{}
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
	return true
}
