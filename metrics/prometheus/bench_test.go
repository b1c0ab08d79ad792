package prometheus_test

import (
	"context"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	metrics "github.com/orderly-go/orderly/metrics/prometheus"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a record costs with metrics: its handler is timed, and its run is counted.
func BenchmarkRecord(b *testing.B) {
	m, err := metrics.New(metrics.Options{Registerer: prom.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	plain := orderly.ConsumerConfig{Group: "g", Topics: []string{"t"}, Handler: func(context.Context, *orderly.Message) error { return nil }}
	with := m.Instrument(plain)
	msg := &orderly.Message{Record: &kgo.Record{Topic: "t", Timestamp: time.Now()}}
	b.Run("off", func(b *testing.B) {
		for range b.N {
			_ = plain.Handler(b.Context(), msg)
		}
	})
	b.Run("handler", func(b *testing.B) {
		for i := range b.N {
			msg.Offset = int64(i)
			_ = with.Handler(b.Context(), msg)
		}
	})
	b.Run("settled", func(b *testing.B) {
		for range b.N {
			with.Events.Settled(orderly.SettledEvent{Topic: "t", Records: 1})
		}
	})
}
