package breaker

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// A Key names one ordering key of one partition.
type Key uint64

// NewKey mixes what names a partition with the hash of an ordering key.
func NewKey(partition, hash uint64) Key {
	x := hash ^ bits.RotateLeft64(partition*0x9e3779b97f4a7c15, 31)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return Key(x ^ x>>31)
}

// registers of a sketch: the standard error of what it counts is 1.04/sqrt(registers),
// 3 %.
const (
	registerBits = 10
	registers    = 1 << registerBits
)

// A sketch counts different keys in fixed memory (HyperLogLog). Adding a key that
// changes nothing, which is nearly always, is one load; there is no lock.
type sketch [registers]atomic.Uint32

func (s *sketch) add(k Key) {
	r := &s[k>>(64-registerBits)]
	rank := uint32(bits.LeadingZeros64(uint64(k)<<registerBits|1<<(registerBits-1)) + 1)
	for old := r.Load(); old < rank; old = r.Load() {
		if r.CompareAndSwap(old, rank) {
			return
		}
	}
}

func (s *sketch) clear() {
	for i := range s {
		if s[i].Load() != 0 {
			s[i].Store(0)
		}
	}
}

// A union is what several sketches have seen together.
type union [registers]uint32

func (u *union) add(s *sketch) {
	for i := range s {
		u[i] = max(u[i], s[i].Load())
	}
}

// count estimates the number of different keys.
func (u *union) count() float64 {
	empty, sum := 0, 0.0
	for _, rank := range u {
		if rank == 0 {
			empty++
		}
		sum += 1 / float64(uint64(1)<<rank)
	}
	const m = float64(registers)
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		return m * math.Log(m/float64(empty)) // nearly exact while there are few
	}
	return estimate
}
