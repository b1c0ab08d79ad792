package parking

import "time"

// Rules is what an owner and every reader of one partition go by.
type Rules struct {
	First, Max time.Duration // until the first release, and between later ones at most
	Join       int           // a release stops taking live records in when no more than this are left
	Releases   int           // keys that are released at a time
	Run        int           // records of a run at the most, that are written
	Rewrite    int           // entries that a trim has on their way at a time, about

	MaxPerKey int   // parked records of a key
	MaxKeys   int   // parked keys
	MaxBytes  int64 // of all parked records

	Remember time.Duration // the id of an answered command; an older command is refused

	without rule // tests take a rule out
}

// A rule can be taken out in a test, to show that something then goes wrong.
type rule int

const (
	ruleNone       rule = iota
	ruleReadBack        // entries count when read back valid, not when acknowledged
	ruleChain           // an entry counts only behind those it rests on
	ruleMarker          // every owner writes its marker and reads to it
	ruleNewToken        // a write of unknown outcome is never sent again under its token
	ruleSettled         // "settled up to" survives trims
	ruleResolved        // a key is live again only when its resolutions are read back
	ruleAsOfMarker      // what a trim keeps is computed behind its marker
	ruleTrimRead        // what it keeps is read back before it is committed
	ruleTrimCommit      // a trim is committed before it is done
	ruleAnswer          // a retry is answered when what it released is resolved
	ruleFresh           // a new topic: nothing before the own marker counts
	ruleFreshFirst      // a new topic: committed before anything is parked
	ruleCaps            // the caps hold for what is on its way
	ruleNamed           // a note holds when a commit of the ownership names it
	ruleMissing         // a missing commit is not "names no topic"
)

func (r *Rules) broken(x rule) bool { return r.without == x }

// DefaultRules are those of the contract; the caps are to be configured.
func DefaultRules() Rules {
	return Rules{First: 5 * time.Minute, Max: 6 * time.Hour, Join: 1000, Releases: 16, Run: 256, Rewrite: 50_000,
		MaxPerKey: 100_000, MaxKeys: 1_000_000, MaxBytes: 16 << 30, Remember: 7 * 24 * time.Hour}
}

// due returns when a key whose head failed so is released.
func (r *Rules) due(f *Failure) int64 {
	if f.Permanent {
		return never
	}
	wait := r.First
	for i := 0; i < f.Releases && wait < r.Max; i++ {
		wait *= 2
	}
	return f.Last + min(wait, r.Max).Milliseconds()
}
