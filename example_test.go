package orderly_test

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/orderly-go/orderly"
)

// Order is what the records of the topic hold.
type Order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

func bill(context.Context, Order) error { return nil }

// The consumer of README: orders are billed in sequence per key.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := orderly.NewConsumer(orderly.ConsumerConfig{
		Brokers: []string{"127.0.0.1:9092"}, Group: "billing", Topics: []string{"orders"},
		Handler: orderly.JSON(func(ctx context.Context, o Order, m *orderly.Message) error {
			return bill(ctx, o) // an error: tried again later; the other keys go on
		}),
	})
	if err != nil {
		log.Fatal(err) // all problems of the configuration at once
	}
	if err := c.Run(ctx); err != nil { // ending ctx drains and commits
		log.Fatal(err)
	}
}
