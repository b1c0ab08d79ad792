package connect

import (
	"context"
	"io"
	"log/slog"

	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Cluster is where the settings lead.
type Cluster struct {
	Brokers []string
	Opts    []kgo.Opt
	release func() error
}

// Open reads the files that the settings name and, with --local, serves the
// folder or finds who does. It does not connect. Close ends what it serves.
func (s *Settings) Open(ctx context.Context, notes io.Writer) (*Cluster, error) {
	opts, err := s.Options()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Brokers: s.BrokerList(), Opts: opts, release: func() error { return nil }}
	if s.Local.Origin == "" {
		return c, nil
	}
	addr, release, err := localbroker.Use(ctx, localbroker.Options{
		Dir:    s.Local.Text,
		Notice: func(line string) { _, _ = io.WriteString(notes, "broker: "+line+"\n") },
		Log:    slog.New(slog.NewTextHandler(notes, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	c.Brokers, c.release = []string{addr}, release
	return c, nil
}

// Close ends the embedded broker, when it is ours.
func (c *Cluster) Close() error { return c.release() }

// Client makes a plain client.
func (c *Cluster) Client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, c.Opts...)
	return kgo.NewClient(append(opts, more...)...)
}
