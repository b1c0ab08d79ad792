package orderly

import (
	"strings"
	"testing"
)

// What cannot be kept is refused by name.
func TestResetRefusesToKeep(t *testing.T) {
	for _, c := range []struct {
		what   string
		parked parkedNow
		want   string
	}{
		{"a key that was released is done above the target", parkedNow{keys: 1, offsets: []int64{30}, released: 21}, "known as done up to offset 21"},
		{"a key that was released is done below the target", parkedNow{keys: 1, offsets: []int64{30}, released: 20}, ""},
		{"the commit that named the topic is gone", parkedNow{keys: 1, offsets: []int64{30}, unknown: true}, "only \"drop\" is possible"},
	} {
		p := &partitionNow{parked: c.parked}
		p.ParkedKeys, p.ParkedRecords = 1, 1
		r := &OffsetReset{Parked: ParkedKeep}
		err := newResetStep(p, 20, r).problem(r, "g")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.what, err)
		}
		r.Parked = ParkedDrop
		if err := newResetStep(p, 20, r).problem(r, "g"); err != nil {
			t.Errorf("%s, dropped: %v", c.what, err)
		}
		if newResetStep(p, 20, r).keeps(r) {
			t.Errorf("%s: what is dropped still counts", c.what)
		}
		p.ParkedRecords, p.parked.offsets = 0, nil // of a topic in which nothing is parked, the same decides
		if s := newResetStep(p, 20, r); s.keeps(r) != (c.parked.released <= 20) {
			t.Errorf("%s: with nothing parked the topic counts: %t", c.what, s.keeps(r))
		}
	}
}
