package connect

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Cluster is where the settings lead.
type Cluster struct {
	Brokers []string
	Opts    []kgo.Opt
	local   *localbroker.Usage // nil: not an embedded broker
}

// Open reads the files that the settings name and, with --local, serves the
// folder or finds who does. It does not connect. Close ends what it serves.
func (s *Settings) Open(ctx context.Context, notes io.Writer) (*Cluster, error) {
	opts, err := s.Options()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Brokers: s.BrokerList(), Opts: opts}
	if s.Local.Origin == "" {
		return c, nil
	}
	use, err := localbroker.Use(ctx, localbroker.Options{
		Dir:    s.Local.Text,
		Notice: func(line string) { _, _ = io.WriteString(notes, "broker: "+line+"\n") },
		Log:    slog.New(slog.NewTextHandler(notes, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	c.Brokers, c.local = []string{use.Addr}, use
	return c, nil
}

// Close ends the embedded broker, when it is ours.
func (c *Cluster) Close() error {
	if c.local == nil {
		return nil
	}
	return c.local.Close()
}

// While gives a context that ends with ctx, and when the embedded broker is another
// command's that has ended: its cause is a localbroker.EndedError then.
func (c *Cluster) While(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if c.local != nil {
		go func() {
			if err := c.local.Ended(ctx); err != nil {
				cancel(err)
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// Ended is why While's context ended, when the embedded broker is gone; else err.
func Ended(ctx context.Context, err error) error {
	var ended *localbroker.EndedError
	if errors.As(context.Cause(ctx), &ended) {
		return ended
	}
	return err
}

// Client makes a plain client.
func (c *Cluster) Client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, c.Opts...)
	return kgo.NewClient(append(opts, more...)...)
}
