package lane

import "time"

// tidyEvery is how often a partition that holds or held many units looks whether
// it can give memory back: seldom, because a load that swings from poll to poll
// must not make and drop the same memory again and again.
const tidyEvery = time.Second

// tidyLater is called when the units' table grew.
func (p *Partition) tidyLater() {
	if p.tidyAt == 0 && p.large() {
		p.tidyAt = (p.pool.now()/tidyEvery + 1) * tidyEvery // all partitions at one time
		p.pool.arm(p.tidyAt)
	}
}

func (p *Partition) large() bool {
	return len(p.units.slots) > tableSmall || len(p.sides.slots) > tableSmall || p.free.n > tableSmall
}

// tidy makes memory follow the most units of the last period, not those ever
// seen. It is called with p.mu held.
func (p *Partition) tidy(now time.Duration) {
	if p.tidyAt == 0 || p.tidyAt > now {
		return
	}
	peak := p.units.fit() + p.sides.fit()
	spare := max(peak-p.units.n-p.sides.n, tableSmall)
	for p.free.n > spare {
		p.free.pop()
	}
	if n := len(p.timers); cap(p.timers) > tableSmall && cap(p.timers) > 4*n && cap(p.timers) > 4*peak {
		p.timers = append(make(timers, 0, n), p.timers...)
	}
	if len(p.failed) == 0 {
		p.failed = make(map[int64]int32)
	}
	if len(p.spent) == 0 {
		p.spent = nil
	}
	p.tidyAt = 0
	p.tidyLater()
}
