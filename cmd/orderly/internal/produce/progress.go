package produce

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A progress is one line that is updated in place, on a terminal only. What else is
// said goes through it, so that it stands on lines of its own.
type progress struct {
	w     io.Writer
	s     *sending
	size  int64 // of the input; 0 when it is not known
	began time.Time
	stop  chan struct{}
	ended chan struct{}

	mu    sync.Mutex
	width int // of what stands there
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

func startProgress(w io.Writer, s *sending, size int64) *progress {
	p := &progress{w: w, s: s, size: size, began: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	if !isTerminal(w) {
		close(p.ended)
		return p
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.show()
		case <-p.stop:
			p.show()
			fmt.Fprintln(p.w)
			return
		}
	}
}

func (p *progress) show() {
	line := progressLine(p.s.sent.Load(), p.s.read.Load(), p.size, time.Since(p.began))
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(p.width-len(line), 0)))
	p.width = len(line)
}

// Write takes lines of the log.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
	return p.w.Write(b)
}

// progressLine fits a terminal of the usual width: one that wraps could not be
// written over.
func progressLine(sent, read, size int64, took time.Duration) string {
	const cells = 30
	line := fmt.Sprintf("%d records, %.0f/s", sent, float64(sent)/max(took.Seconds(), 1e-9))
	if size <= 0 {
		return line
	}
	part := min(float64(read)/float64(size), 1)
	full := int(part * cells)
	return fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("=", full), strings.Repeat(" ", cells-full), part*100, line)
}

func (p *progress) end() {
	close(p.stop)
	<-p.ended
}
