package progress

import (
	"reflect"
	"testing"
)

// The field's text outlives releases.
func TestEndedIsReadAndWrittenAsEver(t *testing.T) {
	const text = "orderly1;t=17;w=100;ended=ZAIDAQ;a=AAMDBA;k=8df620fa"
	ended := []Attempt{{100, 2}, {103, 1}}
	meta := Meta{Present: true, Token: 17, CompleteUpTo: 100, Attempts: []Attempt{{100, 3}, {103, 4}}}
	meta.Extra = WithEnded(nil, 100, ended)
	if got, _ := mustEncode(t, 100, meta, DefaultLimit); got != text {
		t.Fatalf("written %s\ngolden  %s", got, text)
	}
	got := mustDecode(t, 100, text)
	if !reflect.DeepEqual(got, meta) || !reflect.DeepEqual(Ended(got.Extra), ended) {
		t.Errorf("read %+v, %v", got, Ended(got.Extra))
	}
	// As a release that does not know it passes it on.
	if moved, _ := mustEncode(t, 103, Meta{Token: 18, Extra: got.Extra}, DefaultLimit); !reflect.DeepEqual(Ended(mustDecode(t, 103, moved).Extra), ended) {
		t.Errorf("passed on as %s", moved)
	}
}

func TestEndedOfOthers(t *testing.T) {
	other := Field{"p2", "x"}
	if got := Ended([]Field{other}); got != nil {
		t.Errorf("not there: %v", got)
	}
	for _, v := range []string{"", "=", "ZA", "ZAIDAQ=="} {
		if got := Ended([]Field{{tagEnded, v}}); len(got) > 0 {
			t.Errorf("%q: %v", v, got)
		}
	}
	all := WithEnded([]Field{other, {tagEnded, "ZAIDAQ"}}, 101, []Attempt{{7, 1}, {101, 2}})
	if !reflect.DeepEqual(Ended(all), []Attempt{{101, 2}}) || len(all) != 2 || all[0] != other {
		t.Errorf("%v", all)
	}
	if none := WithEnded(all, 200, []Attempt{{101, 2}}); len(none) != 1 || none[0] != other {
		t.Errorf("settled, and still there: %v", none)
	}
	var many []Attempt
	for i := range int64(1000) {
		many = append(many, Attempt{1<<60 + i, 1 << 30})
	}
	if f := WithEnded(nil, 0, many); len(Ended(f)) != endedCap || f[0].size() > 200 {
		t.Errorf("%d records in %d characters", len(Ended(f)), f[0].size())
	}
}
