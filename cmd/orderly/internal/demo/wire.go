package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A consumer process speaks with the demo over its standard input and output,
// one JSON object a line. It says what happens and waits for the answer before
// it goes on. So the demo knows that a handler began before it does anything,
// and has applied a change before the handler returns: what a process had done
// when it was killed is exactly known.

// kind says what a message reports.
type kind string

const (
	started   kind = "start"   // a handler begins
	ended     kind = "end"     // it returns
	owned     kind = "own"     // the process got a partition
	released  kind = "release" // it gave the partition up in order
	lost      kind = "lost"    // the partition was taken from it
	committed kind = "commit"  // the broker has acknowledged an offset
	broke     kind = "breaker" // the breaker's state has changed
	probed    kind = "probe"   // the breaker asks whether the sink is up
)

// message is what a process says.
type message struct {
	ID        int64  `json:"id"`
	Kind      kind   `json:"e"`
	Partition int32  `json:"p"`
	Offset    int64  `json:"o,omitempty"`
	Key       string `json:"k,omitempty"`
	Token     int64  `json:"f,omitempty"`
	Attempt   int    `json:"a,omitempty"`
	OK        bool   `json:"ok,omitempty"`      // ended: well. released: all was done and committed
	Cancelled bool   `json:"x,omitempty"`       // ended: because its context did
	Value     string `json:"v,omitempty"`       // ended well: the change that the sink is to apply
	Ahead     int64  `json:"ahead,omitempty"`   // committed: so many above the offset are recorded as done
	Running   int    `json:"running,omitempty"` // lost, released: handlers that had not returned
	Down      bool   `json:"d,omitempty"`       // ended badly: because the sink was down
	Breaker   string `json:"b,omitempty"`       // breaker: its state
	GivenBack int    `json:"g,omitempty"`       // breaker: attempts that do not count
	Spent     int    `json:"spent,omitempty"`   // probe: attempts of the blocked keys
}

// reply is the answer to a message, or without an id the word to stop.
type reply struct {
	ID   int64         `json:"id,omitempty"`
	Work time.Duration `json:"work,omitempty"` // started: how long to work
	Fail bool          `json:"fail,omitempty"` // and then to fail
	Down bool          `json:"down,omitempty"` // and then to find the sink down. probe: it is down
	Stop bool          `json:"stop,omitempty"`
}

var errParentGone = errors.New("the demo that this process belongs to has ended")

// link is a process's end of the line.
type link struct {
	stop chan struct{} // closed when the demo says so
	gone chan struct{} // closed when there is no demo any more

	mu      sync.Mutex
	out     io.Writer
	last    int64
	waiting map[int64]chan reply
}

func newLink(in io.Reader, out io.Writer) *link {
	l := &link{stop: make(chan struct{}), gone: make(chan struct{}), out: out, waiting: map[int64]chan reply{}}
	go l.read(in)
	return l
}

func (l *link) read(in io.Reader) {
	defer close(l.gone)
	stop := sync.OnceFunc(func() { close(l.stop) })
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		var r reply
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			return
		}
		if r.Stop {
			stop()
			continue
		}
		l.mu.Lock()
		ch := l.waiting[r.ID]
		delete(l.waiting, r.ID)
		l.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
}

// tell says something and waits until the demo has taken it in.
func (l *link) tell(m message) (reply, error) {
	ch := make(chan reply, 1)
	l.mu.Lock()
	l.last++
	m.ID = l.last
	l.waiting[m.ID] = ch
	line, err := json.Marshal(m)
	if err == nil {
		_, err = l.out.Write(append(line, '\n'))
	}
	l.mu.Unlock()
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errParentGone, err)
	}
	select {
	case r := <-ch:
		return r, nil
	case <-l.gone:
		return reply{}, errParentGone
	}
}
