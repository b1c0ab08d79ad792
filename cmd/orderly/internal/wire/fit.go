package wire

import (
	"cmp"
	"math"
	"slices"
)

// A Place is a key and the partition that its writer chose.
type Place struct {
	Key       string
	Partition int32
}

// A Fit is a hash that explains places.
type Fit struct {
	Hash       *Hash
	Partitions int32    // among how many
	Places     []Place  // that it explains, and no better one
	Same       []string // hashes that put these keys nowhere else
}

// A Fingerprint says how the partitions of keys came to be.
type Fingerprint struct {
	Places int // keys and partitions that were looked at
	Fits   []Fit
	Others []Place // that nothing explains
	Few    bool    // they are too few to say anything
}

// doubt is how likely it may be that a hash is named that nobody uses.
const doubt = 1e-6

// Take finds the hashes that explain places among n partitions, or among fewer, as
// the topic may have grown: the one that explains the most first, then what explains
// the rest. A hash counts when it explains more than luck does, and a third at least:
// keys that are spread in turn meet a hash a little more often than luck.
func Take(places []Place, n int32) Fingerprint {
	f := Fingerprint{Places: len(places)}
	tries := float64(len(Hashes)) * float64(max(n, 1))
	if n < 2 || float64(len(places))*math.Log(float64(n)) < math.Log(tries/doubt) {
		f.Few, f.Others = true, places
		return f
	}
	bits := make([][]uint32, len(Hashes))
	for i, h := range Hashes {
		bits[i] = make([]uint32, len(places))
		for j, p := range places {
			bits[i][j] = h.bits([]byte(p.Key))
		}
	}
	left := make([]int, len(places)) // indexes
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		best, at, of := 0, -1, int32(0)
		// From n downwards, so that today's count wins where both explain as much.
		for m := n; m >= 2 && best < len(left); m-- {
			for i, h := range Hashes {
				if c := explained(h, bits[i], places, left, m); c > best && 3*c >= len(left) && unlikely(c, len(left), m, tries) {
					best, at, of = c, i, m
				}
			}
		}
		if at < 0 {
			break
		}
		fit := Fit{Hash: Hashes[at], Partitions: of}
		for i, h := range Hashes {
			if i != at && alike(h, bits[i], Hashes[at], bits[at], left, of) {
				fit.Same = append(fit.Same, h.Name)
			}
		}
		left = slices.DeleteFunc(left, func(j int) bool {
			if fit.Hash.fold(bits[at][j], of) != places[j].Partition {
				return false
			}
			fit.Places = append(fit.Places, places[j])
			return true
		})
		f.Fits = append(f.Fits, fit)
	}
	for _, j := range left {
		f.Others = append(f.Others, places[j])
	}
	slices.SortStableFunc(f.Fits, func(a, b Fit) int { return cmp.Compare(len(b.Places), len(a.Places)) })
	return f
}

func explained(h *Hash, bits []uint32, places []Place, left []int, m int32) (c int) {
	for _, j := range left {
		if h.fold(bits[j], m) == places[j].Partition {
			c++
		}
	}
	return c
}

func alike(a *Hash, ab []uint32, b *Hash, bb []uint32, left []int, m int32) bool {
	for _, j := range left {
		if a.fold(ab[j], m) != b.fold(bb[j], m) {
			return false
		}
	}
	return true
}

// unlikely says whether c of n hits at 1/m each cannot be luck, in so many tries
// (Chernoff's bound).
func unlikely(c, n int, m int32, tries float64) bool {
	x, p := float64(c)/float64(n), 1/float64(m)
	if x <= p {
		return false
	}
	kl := x * math.Log(x/p)
	if x < 1 {
		kl += (1 - x) * math.Log((1-x)/(1-p))
	}
	return float64(n)*kl > math.Log(tries/doubt)
}
