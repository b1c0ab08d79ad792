package demo

import "time"

// A plan says how long each attempt works and which records fail. It depends on
// the seed and the record only, so that both columns get the same.
type plan struct {
	seed     uint64
	maxWork  time.Duration // an attempt takes from none to this
	perMille uint64        // of the records fail
	failures int           // as often, before they succeed
}

// work is how long an attempt takes.
func (p plan) work(partition int32, offset int64, attempt int) time.Duration {
	return time.Duration(p.draw(partition, offset, uint64(attempt)) % uint64(p.maxWork))
}

// fails says whether the record fails at first.
func (p plan) fails(partition int32, offset int64) bool {
	const another = 1 << 32 // no attempt has this number
	return p.draw(partition, offset, another)%1000 < p.perMille
}

// draw mixes its arguments into an even number distribution (splitmix64).
func (p plan) draw(partition int32, offset int64, n uint64) uint64 {
	x := p.seed
	for _, v := range []uint64{uint64(partition), uint64(offset), n} {
		x += v + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}
