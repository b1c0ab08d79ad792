package pipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
)

// leftover is how long the output of a dead worker may stay open, held by a
// process that it started outside of its group.
const leftover = time.Second

// partial is how long a worker that has answered may take to read the rest of
// its record.
const partial = 10 * time.Second

// pipeHolds is what a pipe takes without a reader: a worker that has answered has
// left nothing else in it. (Linux and macOS take more, Windows just this.)
const pipeHolds = 4096

// A worker is one process.
type worker struct {
	id     int
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	output *output // of out
	taken  int64   // bytes of it that were answers; of whoever has the worker
	said   chan said
	gone   chan struct{} // it was killed: nobody listens any more
	dead   chan struct{} // the process was waited for
	exited chan struct{} // dead, and all that it said was read
	end    sync.Once

	mu     sync.Mutex
	reaped bool // its id may be another process's now
	unread int  // bytes of its input that nobody has read, when it is dead; -1: not known
}

// errUnread is the end of a worker that had answered, and has read nothing of the
// record that it was given since: another one can have it as if nothing had been.
var errUnread = errors.New("ended, and did not read the record")

var errPartial = errors.New("answered before it had read its record")

// said is a line of its standard output, or why there is none.
type said struct {
	line []byte
	more bool
	err  error
}

// start starts the worker's process.
func start(o *Options, id int) (*worker, error) {
	w := &worker{id: id, said: make(chan said), gone: make(chan struct{}), dead: make(chan struct{}), exited: make(chan struct{})}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	w.in, w.out = in, out
	if w.output, err = newOutput(out); err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close(), out.Close(), theirOut.Close())
	}
	w.cmd = exec.Command(o.Command[0], o.Command[1:]...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = theirIn, theirOut, o.Stderr
	w.cmd.Env = append(o.env(), "ORDERLY_WORKER="+strconv.Itoa(id))
	w.cmd.WaitDelay = leftover
	ownGroup(w.cmd)
	err = w.cmd.Start()
	_ = theirIn.Close() // the process has its own
	_ = theirOut.Close()
	if err != nil {
		_ = in.Close()
		_ = out.Close()
		return nil, fmt.Errorf("worker %d cannot be started: %w", id, err)
	}
	enlist(w)
	go w.await()
	go w.read()
	return w, nil
}

func (w *worker) name() string { return fmt.Sprintf("worker %d (pid %d)", w.id, w.cmd.Process.Pid) }

// await takes the process's end in, and ends what it has started.
func (w *worker) await() {
	defer close(w.dead)
	_ = w.cmd.Wait() // how it ended is in ProcessState
	w.mu.Lock()
	killGroup(w.cmd)
	w.reaped = true
	w.unread = unreadIn(w.in)
	w.mu.Unlock()
	_ = w.in.Close()
	// What it said last is still in the pipe. Windows has no deadlines here.
	_ = w.out.SetReadDeadline(time.Now().Add(leftover))
}

func (w *worker) read() {
	defer func() {
		<-w.dead
		_ = w.out.Close()
		delist(w)
		close(w.exited)
	}()
	r := bufio.NewReaderSize(w.output, 64<<10)
	for {
		line, more, err := readLine(r)
		select {
		case w.said <- said{line, more, err}:
		case <-w.gone:
			// Read on: a process that cannot write may not end.
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if err != nil {
			return // who was told ends it
		}
	}
}

// alive reports that the worker can be given a record. Whatever it said that
// nobody asked for means that it is out of step: what it says next could be taken
// for the answer of another record.
func (w *worker) alive() (ok bool, why error) {
	select {
	case s := <-w.said:
		if len(s.line) > 0 {
			why = w.unasked(quote(s.line))
		}
	case <-w.dead:
	default:
		unread, more, ended := w.output.beyond(w.taken)
		if !more && !ended {
			return true, nil
		}
		if more { // the reader has it, or is about to
			why = w.unasked("something")
			if line, _, _ := bytes.Cut(unread, []byte("\n")); len(line) > 0 {
				why = w.unasked(quote(line))
			}
		}
	}
	w.kill()
	<-w.exited
	return false, why
}

func (w *worker) unasked(what string) error {
	return fmt.Errorf("%s said %s when it had no record; a record has one answer", w.name(), what)
}

// process gives the worker a record and waits for its answer, or for its end.
// over says that the worker cannot be used again.
func (w *worker) process(ctx context.Context, m *orderly.Message) (over bool, err error) {
	line := Line(m)
	// Killed, it neither reads nor writes any more: the calls below return.
	stop := context.AfterFunc(ctx, w.kill)
	written, given := make(chan struct{}), 0
	write := func() {
		defer close(written)
		given, _ = w.in.Write(line) // that it is dead is learned from its output
	}
	if len(line) <= pipeHolds {
		write()
	} else {
		go write()
	}
	var s said
	select {
	case s = <-w.said:
	case <-w.exited:
		s.err = io.EOF
	}
	if s.err == nil {
		// What it leaves of the record would be taken for the next one.
		select {
		case <-written:
		default:
			late := time.NewTimer(partial)
			select {
			case <-written:
			case <-ctx.Done():
			case <-late.C:
				s.err = errPartial
			}
			late.Stop()
		}
	}
	if !stop() {
		<-w.exited
		<-written
		return true, fmt.Errorf("%s was killed: %w", w.name(), context.Cause(ctx))
	}
	if s.err != nil {
		w.kill()
		<-w.exited
		<-written
		if len(s.line) > 0 {
			return true, fmt.Errorf("%s: %w: %s", w.name(), s.err, quote(s.line))
		}
		if w.taken > 0 && w.unread == given && errors.Is(s.err, io.EOF) {
			return true, fmt.Errorf("%s (%s) %w", w.name(), w.how(), errUnread)
		}
		return true, fmt.Errorf("%s died with the record in hand (%s)", w.name(), w.how())
	}
	w.taken += int64(len(s.line)) + 1 // and its end
	failure, bad := parseAnswer(s.line, m)
	if bad == nil && s.more {
		bad = errors.New("followed by more at once; a record has one answer")
	}
	if bad != nil {
		w.kill()
		<-w.exited
		return true, fmt.Errorf("%s answered %s: %w", w.name(), quote(s.line), bad)
	}
	if failure != nil {
		return false, fmt.Errorf("%s: %w", w.name(), failure)
	}
	return false, nil
}

// how is how it ended; the process was waited for.
func (w *worker) how() string {
	if st := w.cmd.ProcessState; st != nil {
		return st.String()
	}
	return "unknown"
}

// kill ends the process, and those of its group. w.exited tells when it is over; its
// input is closed then, as await looks first at what is in it.
func (w *worker) kill() {
	w.end.Do(func() {
		close(w.gone)
		w.mu.Lock()
		if !w.reaped {
			killGroup(w.cmd)
		}
		w.mu.Unlock()
	})
}

// dismiss lets the worker end by itself: it has no more input. When grace ends
// it is killed.
func (w *worker) dismiss(grace <-chan struct{}) {
	_ = w.in.Close()
	for ended := false; !ended; {
		select {
		case s := <-w.said: // a late line is nobody's answer
			ended = s.err != nil && !errors.Is(s.err, io.EOF)
			if errors.Is(s.err, io.EOF) {
				// It may have closed its output before its last words elsewhere.
				select {
				case <-w.dead:
				case <-grace:
				}
				ended = true
			}
		case <-grace:
			ended = true
		case <-w.exited:
			ended = true
		}
	}
	w.kill()
	<-w.exited
}
