package parking

import (
	"errors"
	"strings"
	"testing"
)

func TestWhatStopsAPartitionAtItsStart(t *testing.T) {
	r := DefaultRules()
	id, other := TopicID{1}, TopicID{2}
	for _, c := range []struct {
		name  string
		f     Found
		from  int64
		fresh bool
		stops string
	}{
		{"no topic, none named", Found{Committed: true}, 0, false, ""},
		{"the first time", Found{Topic: true, TopicID: id}, 0, true, ""},
		{"a new topic", Found{Committed: true, Topic: true, TopicID: id, Start: 3, HasState: true}, 3, true, ""},
		{"as it was left", Found{Committed: true, Topic: true, TopicID: id, Start: 3, Guard: &Guard{TopicID: id, Trim: 5, Holds: true}}, 5, false, ""},
		{"the commit is gone", Found{Topic: true, TopicID: id, HasState: true}, 0, false, "no commit"},
		{"the topic is gone", Found{Committed: true, Guard: &Guard{TopicID: id, Holds: true}}, 0, false, "gone"},
		{"gone, but nothing was in it", Found{Committed: true, Guard: &Guard{TopicID: id}}, 0, false, ""},
		{"created again", Found{Committed: true, Topic: true, TopicID: other, Guard: &Guard{TopicID: id, Holds: true}}, 0, false, "created again"},
		{"created again, empty", Found{Committed: true, Topic: true, TopicID: other, Guard: &Guard{TopicID: id}}, 0, true, ""},
		{"shortened", Found{Committed: true, Topic: true, TopicID: id, Start: 6, Guard: &Guard{TopicID: id, Trim: 5}}, 0, false, "begins at 6"},
	} {
		from, fresh, err := Check(c.f, &r)
		if (err != nil) != (c.stops != "") || err != nil && !strings.Contains(err.Error(), c.stops) || from != c.from || fresh != c.fresh {
			t.Errorf("%s: %d, %t, %v", c.name, from, fresh, err)
		}
	}
}

// What is parked stays as it was ordered. An owner that may not go on leaves its
// marker, and that is not what the next one is compared with.
func TestAnotherOrderStopsThePartition(t *testing.T) {
	b := newBench(t, nil)
	b.arrive("a", 1, permanent)
	was := MarkerBody{Owner: "a", Scope: "key", OrderBy: "customer", SourceID: TopicID{1}, Policy: "park"}
	b.log[0].Marker = &was
	next := func(token int64, self MarkerBody) (stopped error) {
		o := NewOwner(&b.rules, self)
		mark := o.Granted(Grant{Token: token})[0].(Write)
		b.log = append(b.log, mark.Entry)
		for pos, e := range b.log {
			for _, a := range o.Read(int64(pos), e) {
				if s, ok := a.(Stop); ok {
					stopped = s.Err
				}
			}
		}
		if o.Open() != (stopped == nil) {
			t.Errorf("open %t although %v", o.Open(), stopped)
		}
		return stopped
	}
	for i, change := range []func(*MarkerBody){
		func(m *MarkerBody) { m.Scope = "partition" },
		func(m *MarkerBody) { m.OrderBy = "account" },
		func(m *MarkerBody) { m.SourceID = TopicID{2} },
	} {
		self := was
		change(&self)
		var mismatch *MismatchError
		if err := next(int64(6+i), self); !errors.As(err, &mismatch) {
			t.Errorf("%+v: %v", self, err)
		}
	}
	self := was
	self.Policy, self.Owner = "block", "b"
	if err := next(9, self); err != nil {
		t.Error(err)
	}
}
