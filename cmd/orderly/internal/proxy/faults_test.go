package proxy

import "testing"

// Nothing happens without a fault, to any kind of producer.
func TestPasses(t *testing.T) {
	c := startCluster(t, 3)
	p := startProxy(t, c.ListenAddrs(), Config{})
	if failed := write(t, p.Addr(), 4000, safe...); failed != 0 {
		t.Errorf("%d failed", failed)
	}
	got := readLog(t, c.ListenAddrs())
	if want := (tally{records: 4000, distinct: 4000}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	f := p.Facts()
	if len(f.Nodes) != 3 || len(f.Obstacles)+len(f.Troubles) != 0 {
		t.Errorf("%+v", f)
	}
	t.Logf("%+v", f)
}
