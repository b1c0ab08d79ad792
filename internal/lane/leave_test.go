package lane

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A record leaves its lane when Apply says so: it waits in its key's own queue, is run
// there, and while that is so Apply is told of the key's later records. They are not
// counted as done before they are.
func TestRecordsLeaveTheirLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs log[string]
		goOn := make(chan struct{})
		pl := NewPool(Config{
			Concurrency: 4, BatchMax: 10,
			Apply: func(r *Run) (int, error) {
				text := fmt.Sprint("lane ", r.Lane, offsets(r.Items))
				if r.Side() {
					text = fmt.Sprint("side ", r.Lane, offsets(r.Items))
				}
				for i, it := range r.Items {
					if r.Behind(i) {
						text += fmt.Sprint(" behind ", it.Offset)
					}
					if !r.Side() && (it.Offset == 1 || r.Behind(i)) {
						r.Detach(i)
					}
				}
				runs.add(text)
				if r.Side() && r.Items[0].Offset == 1 {
					<-goOn
				}
				return len(r.Items), nil
			},
		})
		p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Leave: true, BatchMax: 10, Halt: held}, 1)
		p.Enqueue(items(0, 7, 8, 9))
		p.ClearHalt(held)
		synctest.Wait()
		if st := p.Stat(); st.Done != 2 || st.Records != 1 || st.Bytes != 10 || st.Running != 1 {
			t.Errorf("while the record that left is with its handler: %+v", st)
		}
		p.Enqueue(items(3, 8, 9)) // one more of the key
		synctest.Wait()
		if st := p.Stat(); st.Done != 3 || st.Records != 2 {
			t.Errorf("with another one behind it: %+v", st)
		}
		close(goOn)
		synctest.Wait()
		p.Enqueue(items(5, 8)) // the key is back in its lane
		synctest.Wait()
		want := []string{"lane 0 [0 1 2]", "side 0 [1]", "lane 0 [3 4] behind 3", "side 0 [3]", "lane 0 [5]"}
		if got := runs.take(); !slices.Equal(got, want) {
			t.Errorf("runs %q, want %q", got, want)
		}
		if st := p.Stat(); st.Done != 6 || st.Records != 0 || st.Units != 0 {
			t.Errorf("in the end: %+v", st)
		}
		closePool(t, pl)
	})
}

// A record that fails leaves its lane only when Apply says so: otherwise the lane waits.
func TestFailedRecordLeavesWhenApplySaysSo(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprint(leaves), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var runs log[string]
				pl := NewPool(Config{
					Concurrency: 1, BatchMax: 1,
					Apply: func(r *Run) (int, error) {
						runs.add(fmt.Sprint(r.Items[0].Offset, r.Side()))
						if r.Items[0].Offset == 0 && r.Items[0].Attempts < 2 {
							if leaves && !r.Side() {
								r.Detach(0)
							}
							return 0, errTest
						}
						return 1, nil
					},
					OnFailure: func(*Run, *Item, error) Verdict { return Verdict{Delay: time.Second} },
				})
				p := pl.Add(PartitionConfig{ID: "t/0", Lanes: 1, Leave: true, BatchMax: 1, Halt: held}, 1)
				p.Enqueue(items(0, 7, 8))
				p.ClearHalt(held)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				want := []string{"0 false", "0 false", "0 false", "1 false"}
				if leaves {
					want = []string{"0 false", "1 false", "0 true", "0 true"}
				}
				if got := runs.take(); !slices.Equal(got, want) {
					t.Errorf("runs %v, want %v", got, want)
				}
				closePool(t, pl)
			})
		})
	}
}
