package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
)

// Options say which workers to run.
type Options struct {
	Command []string // the program and its arguments
	Workers int
	Stderr  io.Writer // gets the workers' standard error
	Log     *slog.Logger
	// HideEnv are variables that workers do not inherit.
	HideEnv []string
	// Grace is how long workers may take to end when they have no more input.
	// Default 5 s.
	Grace time.Duration
	// Backoff is how long a worker that died waits before it is started again;
	// it doubles with each death without an answer between, up to MaxBackoff.
	// Defaults 100 ms and 30 s.
	Backoff, MaxBackoff time.Duration
}

func (o *Options) env() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(o.HideEnv, name)
	})
}

// A Pool runs workers. They are started when they are first needed.
type Pool struct {
	o    Options
	some chan struct{} // one for each free slot

	mu   sync.Mutex
	free []*slot
}

// A slot is where a worker is, or was: its number stays.
type slot struct {
	id     int
	w      *worker
	deaths int // since the last answer
	next   time.Time
}

// NewPool checks that the program is there.
func NewPool(o Options) (*Pool, error) {
	if _, err := exec.LookPath(o.Command[0]); err != nil {
		return nil, &CommandError{o.Command[0], err}
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 100 * time.Millisecond
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 30 * time.Second
	}
	p := &Pool{o: o, some: make(chan struct{}, o.Workers)}
	for i := range o.Workers {
		p.free = append(p.free, &slot{id: i + 1})
		p.some <- struct{}{}
	}
	return p, nil
}

// A CommandError says that a worker program cannot be run.
type CommandError struct {
	Command string
	Err     error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("the worker program %q cannot be run: %v; name a program on PATH, or its path", e.Command, e.Err)
}

func (e *CommandError) Unwrap() error { return e.Err }

// Handle is a handler: it gives the record to a worker and returns when the
// worker has answered, or is dead. When ctx ends the worker is killed.
func (p *Pool) Handle(ctx context.Context, m *orderly.Message) error {
	select {
	case <-p.some:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s := p.take()
	defer p.give(s)
	return p.run(ctx, s, m)
}

// take prefers a worker that runs, and then the one that may start first.
func (p *Pool) take() *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	best := len(p.free) - 1
	for i := best - 1; i >= 0 && p.free[best].w == nil; i-- {
		if s := p.free[i]; s.w != nil || s.next.Before(p.free[best].next) {
			best = i
		}
	}
	s := p.free[best]
	p.free = slices.Delete(p.free, best, best+1)
	return s
}

func (p *Pool) give(s *slot) {
	p.mu.Lock()
	p.free = append(p.free, s)
	p.mu.Unlock()
	p.some <- struct{}{}
}

func (p *Pool) run(ctx context.Context, s *slot, m *orderly.Message) error {
	if s.w != nil {
		if ok, why := s.w.alive(); !ok {
			s.w = nil
			if why != nil {
				p.o.Log.Error("orderly: a worker is out of step and was killed; its last record counts as it was answered", "error", why)
				p.died(s)
			}
		}
	}
	if s.w == nil {
		if err := sleep(ctx, time.Until(s.next)); err != nil {
			return err
		}
		w, err := start(&p.o, s.id)
		if err != nil {
			p.died(s)
			return err
		}
		s.w = w
	}
	over, err := s.w.process(ctx, m)
	if errors.Is(err, errUnread) && ctx.Err() == nil {
		// A new worker has not answered before: this comes once.
		s.w, s.deaths, s.next = nil, 0, time.Time{}
		return p.run(ctx, s, m)
	}
	switch {
	case !over:
		s.deaths, s.next = 0, time.Time{}
	case ctx.Err() != nil: // we killed it; it may well be in order
		s.w = nil
	default:
		s.w = nil
		p.died(s)
		p.o.Log.Warn("orderly: a worker is started again", "worker", s.id, "in", time.Until(s.next).Round(time.Millisecond), "error", err)
	}
	return err
}

// died sets when the slot's next worker may start.
func (p *Pool) died(s *slot) {
	wait := p.o.Backoff
	for range min(s.deaths, 30) {
		wait = min(2*wait, p.o.MaxBackoff)
	}
	s.deaths++
	s.next = time.Now().Add(wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close lets the workers end, and kills those that do not. No call of Handle
// may be under way.
func (p *Pool) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.Grace)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range p.free {
		if s.w != nil {
			all.Go(func() { s.w.dismiss(ctx.Done()) })
		}
	}
	all.Wait()
}
