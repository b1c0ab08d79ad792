package consume

import (
	"context"
	"io"
	"sync"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/pipe"
)

// A printer prints records. A record is done when its line was written, so that
// what was never printed is not committed.
type printer struct {
	out  io.Writer
	stop func(why error)

	mu  sync.Mutex
	err error
}

func newPrinter(out io.Writer, stop func(why error)) *printer {
	return &printer{out: out, stop: stop}
}

func (p *printer) handle(_ context.Context, m *orderly.Message) error {
	line := pipe.Line(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		// Unbuffered: it is with its reader, or the system, when this returns.
		if _, err := p.out.Write(line); err != nil {
			// Nothing can be printed any more: that is not the record's fault.
			p.err = &failure{"writing to standard output", err}
			p.stop(p.err)
		}
	}
	return p.err
}
