//go:build unix

package matrix

import (
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/kafkatest"
)

// Producer and consumers over TLS with a client certificate.
func TestTLS(t *testing.T) { overSecure(t, kafkatest.TLS, "") }

// Producer and consumers as a user, over TLS.
func TestSCRAM256(t *testing.T) { overSecure(t, kafkatest.SCRAM, "SCRAM-SHA-256") }
func TestSCRAM512(t *testing.T) { overSecure(t, kafkatest.SCRAM, "SCRAM-SHA-512") }

// overSecure has members come and go: all kinds of requests are made.
func overSecure(t *testing.T, listener, mechanism string) {
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		with := &access{shared.creds, mechanism}
		brokers := shared.c.ListenerAddrs(listener)
		over := func(c *config) { c.Brokers, c.Secure = brokers, with }
		opts, err := with.options()
		if err != nil {
			t.Fatal(err)
		}
		a, b := s.start("a", over), s.start("b", over)
		l := s.load(func(c *orderly.ProducerConfig) {
			c.Brokers, c.KafkaOpts = brokers, append(c.KafkaOpts, opts...)
		})
		s.shares(a, b)
		s.more(l, 50)
		a.leave()
		s.until("the other has all partitions", func() bool { return s.h.owned(b.name) == partitions })
		s.more(l, 50)
		s.finish()
		// Partitions were given up in order only.
		if rep := s.verdict(); rep.ExcusedOverlaps != 0 || rep.Redelivered != 0 {
			s.t.Errorf("%d overlaps and %d repeated records; nobody was dead or frozen", rep.ExcusedOverlaps, rep.Redelivered)
		}
	})
}
