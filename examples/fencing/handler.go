package fencing

import (
	"context"
	"strconv"

	"github.com/orderly-go/orderly"
)

// Handler adds the value of each record to the account that its key names.
func Handler(l *Ledger) orderly.Handler {
	return func(_ context.Context, m *orderly.Message) error {
		cents, err := strconv.ParseInt(string(m.Value), 10, 64)
		if err != nil {
			return orderly.Permanent(err)
		}
		at := Place{m.Topic, m.Partition, m.Offset, m.FencingToken}
		return l.Add(at, string(m.Key), cents) // refused: the partition is another owner's, and what is returned is not looked at
	}
}

// Announcing is for ConsumerConfig.Events.Assigned: it tells the sink of each ownership
// before its first record.
func Announcing(l *Ledger) func(orderly.AssignedEvent) {
	return func(e orderly.AssignedEvent) { _ = l.Announce(e.Topic, e.Partition, e.FencingToken) }
}
