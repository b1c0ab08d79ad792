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

// Commands are answered in the order in which they were sent, whichever of their copies
// have landed, and in whatever order.
func TestCommandsKeepTheirPlaces(t *testing.T) {
	const pause, resume, retry = 'p', 'r', 't'
	type entry struct {
		pos  int64
		id   rune
		copy int64 // of what stood there; 0: it is none
	}
	for name, tc := range map[string]struct {
		read []entry
		want string
	}{
		"all":                        {[]entry{{10, pause, 0}, {11, resume, 0}, {12, retry, 0}}, "prt"},
		"copies in order":            {[]entry{{10, pause, 0}, {11, resume, 0}, {20, pause, 10}, {21, resume, 11}, {22, retry, 0}}, "prt"},
		"the last copy alone":        {[]entry{{10, pause, 0}, {11, resume, 0}, {12, retry, 0}, {20, resume, 11}}, "prt"},
		"from behind the first":      {[]entry{{20, resume, 11}, {21, retry, 0}, {22, pause, 10}}, "prt"},
		"sent twice":                 {[]entry{{10, pause, 0}, {11, resume, 0}, {12, pause, 0}, {20, retry, 0}}, "prt"},
		"the second, then the copy":  {[]entry{{15, retry, 0}, {16, pause, 0}, {20, resume, 11}, {21, pause, 10}}, "prt"},
		"a copy of long ago is late": {[]entry{{30, retry, 0}, {31, pause, 10}, {32, resume, 11}, {33, pause, 10}}, "prt"},
	} {
		t.Run(name, func(t *testing.T) {
			s, rules := NewState(), DefaultRules()
			for _, e := range tc.read {
				c := &CommandBody{ID: string(e.id), Verb: Pause}
				if e.copy > 0 {
					c.N = e.copy + 1
				}
				s.Apply(e.pos, &Entry{Kind: KindCommand, Key: []byte("k"), Command: c}, &rules)
			}
			got := ""
			for _, a := range s.commands {
				got += a.cmd.Command.ID
			}
			if got != tc.want {
				t.Errorf("in the order %s, want %s", got, tc.want)
			}
		})
	}
}

// A pause that is answered late, behind a resume that was sent after it, is over.
func TestPausesHoldInTheOrderInWhichTheyWereSent(t *testing.T) {
	s, rules := NewState(), DefaultRules()
	answer := func(pos int64, verb Verb, place int64) {
		s.Apply(pos, &Entry{Kind: KindAnswer, Key: []byte("k"), Answer: &AnswerBody{State: Done, N: pos,
			Command: CommandBody{ID: string(verb) + string(rune('a'+place)), Verb: verb, N: place}}}, &rules)
	}
	held := func() bool { return s.held[ID([]byte("k"))] != nil }
	answer(20, Pause, 3)
	if !held() {
		t.Error("the pause is not in force")
	}
	answer(21, Resume, 12)
	answer(22, Pause, 11)
	if held() {
		t.Error("the pause that was sent before the resume is in force")
	}
	answer(23, Pause, 13)
	if !held() {
		t.Error("the last pause is not in force")
	}
}
