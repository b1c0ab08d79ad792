package orderly_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A rolling change from one policy to another and back, while records fail: each member
// does what its own policy says, what is parked stays parked in order under both, and
// each member that finds another policy before its own warns once.
func TestPolicyChangesMemberByMember(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	c := &calls{bad: func(m *orderly.Message) error {
		if k := string(m.Key); k[:3] == "bad" {
			return errBusy
		}
		return nil
	}}
	var warnings [3]seen[orderly.WarningEvent]
	mixed := func(i int) int {
		return len(slices.DeleteFunc(warnings[i].get(), func(e orderly.WarningEvent) bool { return e.Code != "mixed-policies" }))
	}
	under := func(i int, p orderly.Policy) func(*orderly.ConsumerConfig) {
		return func(cfg *orderly.ConsumerConfig) { cfg.OnExhausted, cfg.Events.Warning = p, warnings[i].add }
	}
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Handler: c.handle, Breaker: orderly.Breaker{Disabled: true},
		Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour}, Parking: orderly.Parking{First: time.Hour, Longest: time.Hour}})
	produce := func(key string, values ...string) {
		for p := range int32(2) {
			for _, v := range values {
				b.Produce(topic, orderlytest.Msg(fmt.Sprint(key, "-", p), v).Partition(p))
			}
		}
	}
	holds := func(m *orderlytest.Member, p int32, records int, states map[string]int) {
		t.Helper()
		b.Eventually(fmt.Sprintf("%d parked records of partition %d, and %v blocked", records, p, states), func() bool {
			st, ok := stateOf(m, topic, p)
			return ok && len(st.Reasons) == 0 && st.Parking.Records == records && fmt.Sprint(st.BlockedStates) == fmt.Sprint(states)
		})
	}
	none := map[string]int(nil)

	first := g.Start(under(0, orderly.PolicyPark))
	produce("bad", "0", "1")
	produce("good", "0")
	holds(first, 0, 2, none)
	holds(first, 1, 2, none)

	second := g.Start(under(1, orderly.PolicyBlock))
	b.Eventually("both to have a partition", func() bool {
		return len(first.Consumer().State().Partitions) == 1 && len(second.Consumer().State().Partitions) == 1
	})
	ofSecond := second.Consumer().State().Partitions[0].Partition
	ofFirst := 1 - ofSecond
	produce("bad", "2")
	produce("badly", "0", "1") // a key that has not failed before
	produce("good", "1")
	holds(first, ofFirst, 5, none)
	holds(second, ofSecond, 3, map[string]int{"exhausted": 1}) // those behind its head are not blocked: it is
	stopAll(t, first)
	holds(second, ofFirst, 5, none)
	holds(second, ofSecond, 3, map[string]int{"exhausted": 1})

	third := g.Start(under(2, orderly.PolicyPark))
	stopAll(t, second)
	holds(third, ofFirst, 5, none)
	holds(third, ofSecond, 5, none)
	b.Eventually("the second and the third one to warn", func() bool { return mixed(1) > 0 && mixed(2) > 0 })

	c.mended.Store(true)
	a := admin(t, b, g)
	keys, err := a.ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 4 {
		t.Fatalf("%+v, %v", keys, err)
	}
	for _, k := range keys {
		ans, err := a.Retry(patient(t), orderly.Command{Topic: topic, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset})
		answered(t, ans, err, "done", "released")
	}
	g.WaitDone()
	g.RequireComplete(t)
	g.RequireOrdered(t)
	for p := range 2 {
		if got := c.of(fmt.Sprint("bad-", p)); !slices.Equal(got, numbers(0, 3)) {
			t.Errorf("bad-%d: %v", p, got)
		}
		if got := c.of(fmt.Sprint("badly-", p)); !slices.Equal(got, numbers(0, 2)) {
			t.Errorf("badly-%d: %v", p, got)
		}
	}
	stopAll(t, third)
	if a, b, c := mixed(0), mixed(1), mixed(2); a != 0 || b != 1 || c != 1 {
		t.Errorf("%d, %d and %d warnings of the three members; want none of the first, one of each other", a, b, c)
	}
}
