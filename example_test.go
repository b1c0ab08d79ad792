package orderly_test

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
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

// The producer of README: a record that cannot be written closes its key, so that no
// later one passes it.
func ExampleProducer() {
	p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: []string{"127.0.0.1:9092"}})
	if err != nil {
		log.Fatal(err) // all problems of the configuration at once
	}
	rec := &kgo.Record{Topic: "orders", Key: []byte("c-17"), Value: []byte(`{"id":"1","cents":100}`)}
	p.Produce(context.Background(), rec, func(rec *kgo.Record, err error) {
		var closed *orderly.KeyClosedError
		switch {
		case err == nil: // it is in the log, behind all earlier records of its key
		case errors.As(err, &closed):
			// Stop here, or send again in order from closed.First on, after
			// p.Clear(closed.Topic, closed.Key). With ErrMaybeWritten that may write it twice.
			log.Print(err)
		default:
			log.Print(err) // refused for itself, as without a key
		}
	})
	if err := p.Close(context.Background()); err != nil { // waits for all outcomes
		log.Fatal(err)
	}
}
