package plural

import "testing"

func TestOf(t *testing.T) {
	for _, c := range []struct {
		n    int
		noun string
		want string
	}{
		{1, "record", "1 record"}, {0, "record", "0 records"}, {2, "parked key", "2 parked keys"}, {3, "batch", "3 batches"}, {1, "batch", "1 batch"},
		{2, "entry", "2 entries"}, {2, "index", "2 indexes"}, {2, "process", "2 processes"}, {-1, "record", "-1 records"},
	} {
		if got := Of(c.n, c.noun); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if Verb(1, "is", "are") != "is" || Verb(0, "is", "are") != "are" {
		t.Error("is and are")
	}
}
