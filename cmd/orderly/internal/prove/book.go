package prove

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
)

// A book is the history of one side: each event is checked at once, and kept in a
// file, from which the smallest examples are picked at the end. Memory grows with
// keys and not with events.
type book struct {
	mu      sync.Mutex
	n       int64
	checker *history.Checker
	file    *os.File
	w       *bufio.Writer
	err     error

	remote func(history.Event) bool // the book is another process's

	written, processed, struck atomic.Int64 // for progress
	moved                      atomic.Int64 // when something happened last
}

func newBook(opt history.Options) (*book, error) {
	f, err := os.CreateTemp("", "orderly-prove-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("the history cannot be kept: %w", err)
	}
	b := &book{checker: history.NewChecker(opt), file: f, w: bufio.NewWriterSize(f, 1<<16)}
	_, b.err = fmt.Fprintf(b.w, "{\"history\":%d}\n", history.Version)
	b.move()
	return b, nil
}

func (b *book) move()               { b.moved.Store(time.Now().UnixNano()) }
func (b *book) idle() time.Duration { return time.Since(time.Unix(0, b.moved.Load())) }

// add writes an event down. The order of the calls is the order of the history.
func (b *book) add(e history.Event) {
	if b.remote != nil {
		b.remote(e)
		return
	}
	b.move()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	e.N, e.At = b.n, time.Now().UnixNano()
	b.checker.Add(e)
	if b.err != nil {
		return
	}
	var line []byte
	if line, b.err = json.Marshal(e); b.err == nil {
		_, b.err = b.w.Write(append(line, '\n'))
	}
}

// reopen checks by other options what was written down until now.
func (b *book) reopen(opt history.Options) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	b.checker = history.NewChecker(opt)
	if b.err = b.w.Flush(); b.err == nil {
		b.err = b.scan(func(e history.Event) error { b.checker.Add(e); return nil })
	}
}

// scan reads the book from its beginning.
func (b *book) scan(fn func(history.Event) error) error {
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return history.Scan(b.file, fn)
}

// close ends the book and gives what was found.
func (b *book) close(name string) (run judge.Run, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { err = errors.Join(err, b.remove()) }()
	if err := errors.Join(b.err, b.w.Flush()); err != nil {
		return run, fmt.Errorf("the history cannot be kept: %w", err)
	}
	run = judge.Run{Name: name, Report: b.checker.Finish()}
	if len(run.Report.Violations) == 0 {
		return run, nil
	}
	run.Examples, err = history.Examples(b.scan, history.Smallest(run.Report.Violations))
	return run, err
}

func (b *book) remove() error {
	if b.file == nil {
		return nil
	}
	err := errors.Join(b.file.Close(), os.Remove(b.file.Name()))
	b.file = nil
	return err
}
