package orderly_test

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The same record sent again keeps its number, and no other gets it.
func TestProducerSequenceSentAgainKeepsNumber(t *testing.T) {
	c := prodCluster(t, 1)
	p := producer(t, c, numbering)
	ctx := within30(t)
	if err := p.ProduceSync(ctx, rec("a", "0")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	refuse(c, kerr.InvalidRecord, 1)
	failed := []*kgo.Record{rec("a", "1"), rec("a", "2"), rec("a", "3")}
	for _, r := range p.ProduceSync(ctx, failed...) {
		closedBy(t, r.Err)
	}
	first := headers(t, failed[0])
	if first.number != 2 {
		t.Errorf("numbered %+v", first)
	}
	p.Clear("t", []byte("a"))
	for i := range 3 { // some of them had no number, as they were refused
		if err := p.ProduceSync(ctx, failed[i]).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if again := headers(t, failed[0]); again != first {
		t.Errorf("%+v became %+v", first, again)
	}
	if err := p.ProduceSync(ctx, rec("a", "4")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i, r := range readLog(t, c, "t")[0] {
		if n := headers(t, r); n.number != uint64(i+1) || string(r.Value) != strconv.Itoa(i) {
			t.Errorf("record %d: %+v value %s", i, n, r.Value)
		}
	}
}
