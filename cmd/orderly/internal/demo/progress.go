package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// progress shows where a column is: one line that is updated in place on a
// terminal, else a line for each phase and one now and then.
type progress struct {
	w        io.Writer
	terminal bool
	number   int // of the column
	of       int
	col      *column
	stop     chan struct{}
	stopped  chan struct{}

	mu    sync.Mutex
	text  string
	shown string // the last line
}

func newProgress(w io.Writer, terminal bool, number, of int, c *column) *progress {
	p := &progress{w: w, terminal: terminal, number: number, of: of, col: c, stop: make(chan struct{}), stopped: make(chan struct{})}
	go p.run()
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func (p *progress) run() {
	defer close(p.stopped)
	every := 3 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.show()
		case <-p.stop:
			return
		}
	}
}

// phase begins a new phase.
func (p *progress) phase(text string) {
	p.mu.Lock()
	p.text = text
	p.mu.Unlock()
	p.show()
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.col.ledger.counts()
	line := fmt.Sprintf("[%d/%d %s] %s of %s, %s retries: %s", p.number, p.of, p.col.kind,
		thousands(n.done), thousands(len(p.col.in.Changes)), thousands(n.retries), p.text)
	switch {
	case line == p.shown:
	case p.terminal:
		// A line that wraps could not be written over. None does, where a
		// terminal has the usual width.
		left := utf8.RuneCountInString(p.shown) - utf8.RuneCountInString(line)
		fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(left, 0)))
	default:
		fmt.Fprintln(p.w, line)
	}
	p.shown = line
}

// end leaves the last line as it is. err is how the column's run ended.
func (p *progress) end(err error) {
	close(p.stop)
	<-p.stopped
	how := "finished in"
	if err != nil {
		how = "ended after"
	}
	p.phase(fmt.Sprintf("%s %.1f s", how, p.col.finished.Sub(p.col.began).Seconds()))
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}
