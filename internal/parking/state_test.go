package parking

import "testing"

func parkedEntry(key string, offset, after int64) *Entry {
	return &Entry{Kind: KindParked, Token: 5, Key: []byte(key), Offset: offset, After: after, Parked: &ParkedBody{}}
}

// A parked record that comes again, after it was resolved, stays resolved; one
// that is still parked moves to where it stands last.
func TestARepeatedEntryParksNothingAgain(t *testing.T) {
	r := DefaultRules()
	s := NewState()
	for pos, e := range []*Entry{
		parkedEntry("a", 1, 0), parkedEntry("a", 2, 2),
		{Kind: KindResolved, Token: 5, Key: []byte("a"), Offset: 1, Resolved: &ResolvedBody{Last: 1}},
		parkedEntry("a", 1, 0), parkedEntry("a", 2, 2),
	} {
		if v := s.Apply(int64(pos), e, &r); v != Counts {
			t.Errorf("entry %d: %d", pos, v)
		}
	}
	for k := range s.Parked {
		if k.Offset != 2 || k.Pos != 4 || k.Records != 1 {
			t.Errorf("%+v", k)
		}
	}
	if keys, records, bytes, void := s.Counts(); keys != 1 || records != 1 || bytes != (&Record{}).Size() || void != 0 {
		t.Errorf("%d keys, %d records, %d bytes, %d void", keys, records, bytes, void)
	}
}

// What an entry rests on has to stand before it.
func TestAnEntryRestsOnThoseBeforeIt(t *testing.T) {
	r := DefaultRules()
	s := NewState()
	for i, c := range []struct {
		e    *Entry
		want Verdict
	}{
		{parkedEntry("a", 4, 2), Unchain}, {parkedEntry("a", 1, 0), Counts}, {parkedEntry("a", 4, 3), Unchain},
		{parkedEntry("b", 4, 2), Unchain}, {parkedEntry("a", 4, 2), Counts},
		{&Entry{Kind: KindMarker, Token: 6, Marker: &MarkerBody{}}, Counts}, {parkedEntry("a", 5, 5), Stale},
	} {
		if v := s.Apply(int64(i), c.e, &r); v != c.want {
			t.Errorf("entry %d: %d, not %d", i, v, c.want)
		}
	}
}
