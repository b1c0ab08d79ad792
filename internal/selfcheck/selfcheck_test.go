package selfcheck

import (
	"testing"
)

var k = Sequence{Topic: "orders", Partition: 3, Hash: 7 * Every}

func begin(t *testing.T, c *Check, owner any, token, offset int64, want string) {
	t.Helper()
	v := c.Begin(k, owner, token, offset)
	switch {
	case v == nil && want != "":
		t.Errorf("offset %d: nothing, want %s", offset, want)
	case v != nil && v.Kind != want:
		t.Errorf("offset %d: %+v, want %q", offset, v, want)
	}
}

func TestInOrderIsSilent(t *testing.T) {
	var c Check
	for o := int64(10); o < 20; o++ {
		begin(t, &c, "run", 1, o, "")
		c.End(k, "run") // it failed
		begin(t, &c, "again", 1, o, "")
		c.Done(k, "again", o)
		c.End(k, "again")
	}
	// Another ownership begins lower: what was not committed comes again.
	begin(t, &c, "run", 2, 12, "")
	c.Done(k, "run", 12)
	c.End(k, "run")
}

func TestOverlap(t *testing.T) {
	var c Check
	begin(t, &c, "a", 1, 10, "")
	begin(t, &c, "b", 1, 11, Overlap)
	// Nor under a later token, in one process.
	begin(t, &c, "b", 2, 11, Overlap)
	c.End(k, "b") // does not end the other's
	begin(t, &c, "b", 1, 11, Overlap)
	c.End(k, "a")
	begin(t, &c, "b", 1, 11, "")
}

func TestOvertaken(t *testing.T) {
	var c Check
	begin(t, &c, "a", 1, 11, "")
	c.Done(k, "a", 11)
	begin(t, &c, "a", 1, 10, Overtaken) // within a run
	begin(t, &c, "a", 1, 11, Overtaken) // twice
	c.End(k, "a")
	begin(t, &c, "b", 1, 10, Overtaken)
}

// A sequence whose place another one has is let pass, and takes nothing away from
// that one.
func TestPlaceIsTaken(t *testing.T) {
	var c Check
	other := k
	other.Hash += Every * slots
	if c.slot(other) != c.slot(k) {
		t.Fatal("they do not share a place")
	}
	begin(t, &c, "a", 1, 10, "")
	if v := c.Begin(other, "b", 1, 5); v != nil {
		t.Errorf("%+v", v)
	}
	c.Done(other, "b", 50)
	c.End(other, "b")
	begin(t, &c, "c", 1, 11, Overlap)
}

func BenchmarkRun(b *testing.B) {
	var c Check
	owner := new(int)
	for i := range b.N {
		c.Begin(k, owner, 1, int64(i))
		c.Done(k, owner, int64(i))
		c.End(k, owner)
	}
}
