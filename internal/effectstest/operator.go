package effectstest

import (
	"context"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/orderlytest"
)

// stall is how long nothing is applied before the operator comes.
const stall = time.Second

// An operator has keys tried again that wait for that: "orderly keys retry".
type operator struct {
	admin    *orderly.Admin
	released int // keys
}

// newOperator makes the topic that carries commands, as "orderly setup --parking" does.
func newOperator(t *testing.T, b *orderlytest.Broker, db *DB) *operator {
	t.Helper()
	name, err := parking.TopicName(parking.DefaultPrefix, group, topic)
	must(t, err)
	plan, err := parkinglog.Make(t.Context(), b.Client(), topic, name)
	must(t, err)
	must(t, plan.Carry(t.Context(), b.Client()))
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: b.Addrs(), Group: group, Who: "the test", Store: db.Effects(nil).Store})
	must(t, err)
	t.Cleanup(a.Close)
	return &operator{admin: a}
}

// waiting are the keys that wait for an operator, as far as that can be read now.
func (o *operator) waiting(t *testing.T) (keys []orderly.ParkedKey) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	all, err := o.admin.ParkedKeys(ctx, topic)
	if err != nil {
		t.Logf("what is parked cannot be read now: %v", err)
	}
	for _, k := range all {
		if k.Permanent {
			keys = append(keys, k)
		}
	}
	return keys
}

// release retries the keys that wait for it. A command without an answer stays, and is
// done by the next owner.
func (o *operator) release(t *testing.T) {
	t.Helper()
	for _, k := range o.waiting(t) {
		ctx, cancel := context.WithTimeout(t.Context(), patience/4)
		ans, err := o.admin.Retry(ctx, orderly.Command{Topic: topic, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset, Reason: "looked at"})
		cancel()
		if err == nil && ans.Result == "released" {
			o.released++
		}
		t.Logf("partition %d, %s, %d records parked from offset %d on by %q: retry is %s: %s %v",
			k.Partition, k.Key, k.Records, k.FirstOffset, k.Cause, ans.State, ans.Result, err)
	}
}
