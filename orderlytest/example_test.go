package orderlytest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// A handler under test gets its records as from a consumer: those of a key in
// their order, a failed one again before the next.
func ExampleDeliver() {
	t := new(testing.T) // the test's own

	balance := map[string]string{}
	handler := func(ctx context.Context, m *orderly.Message) error {
		if string(m.Value) == "close" && m.Attempt == 1 {
			return errors.New("ledger is busy")
		}
		balance[string(m.Key)] += " " + string(m.Value)
		return nil
	}
	r := orderlytest.Delivery{Config: orderly.ConsumerConfig{Handler: handler, Concurrency: 1}}.Run(t,
		orderlytest.Msg("alice", "open"),
		orderlytest.Msg("bob", "open"),
		orderlytest.Msg("alice", "close"),
		orderlytest.Msg("alice", "open again"),
	)
	r.RequireOrdered(t)
	r.RequireDone(t)
	fmt.Println("alice:" + balance["alice"])
	fmt.Println("bob:" + balance["bob"])
	fmt.Println("failed:", r.Errors("alice"))
	// Output:
	// alice: open close open again
	// bob: open
	// failed: [ledger is busy]
}

// A record that can never be handled blocks its own key, and no other.
func ExampleDelivery() {
	t := new(testing.T) // the test's own

	r := orderlytest.Delivery{
		Config: orderly.ConsumerConfig{
			Handler: orderly.JSON(func(ctx context.Context, cents int, m *orderly.Message) error { return nil }),
		},
		MaxTime: 10 * time.Minute,
	}.Run(t,
		orderlytest.Msg("alice", "not a number"),
		orderlytest.Msg("alice", "5"),
		orderlytest.Msg("bob", "7"),
	)
	for _, k := range r.Blocked {
		fmt.Printf("%s is blocked at offset %d, %d records wait\n", k.Key, k.Offset, k.Waiting)
	}
	fmt.Println("bob:", r.Done("bob"))
	// Output:
	// alice is blocked at offset 0, 2 records wait
	// bob: [7]
}

// Consumers of one group come, go and die; at the end the order is checked over
// all of them. In a test t is the test's own.
func ExampleNewBroker() {
	t := new(testing.T)

	b := orderlytest.NewBroker(t, "orders")
	g := b.Group(orderly.ConsumerConfig{
		Topics:  []string{"orders"},
		Handler: func(ctx context.Context, m *orderly.Message) error { return nil },
	})
	g.Start()
	g.Start()
	b.Produce("orders",
		orderlytest.Msg("alice", "open"), orderlytest.Msg("bob", "open"),
		orderlytest.Msg("alice", "close"), orderlytest.Msg("bob", "close"),
	)
	g.Owner("orders", 0)
	g.KillOwner("orders", 0) // as kill -9 does
	g.Start()
	g.Rebalance()
	g.WaitDone()
	g.RequireComplete(t)
}
