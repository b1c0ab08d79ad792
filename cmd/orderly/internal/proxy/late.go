package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting is how many requests may be held, or wait to be sent again.
const maxWaiting = 1024

// waiting counts the acknowledgements that held requests wait for.
type waiting struct {
	healed chan struct{} // closed when no fault is to last
	heal   func()

	n   atomic.Int32
	mu  sync.Mutex
	all map[*waiter]struct{}
}

type waiter struct {
	topic     string
	partition int32
	left      int
	ready     chan struct{}
}

func newWaiting() *waiting {
	w := &waiting{healed: make(chan struct{}), all: make(map[*waiter]struct{})}
	w.heal = sync.OnceFunc(func() { close(w.healed) })
	return w
}

func (w *waiting) add(topic string, partition int32, after int) *waiter {
	one := &waiter{topic: topic, partition: partition, left: after, ready: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if after == 0 || len(w.all) >= maxWaiting {
		close(one.ready)
		return one
	}
	w.all[one] = struct{}{}
	w.n.Store(int32(len(w.all)))
	return one
}

// acknowledged says that the broker has acknowledged a batch of the partition.
func (w *waiting) acknowledged(topic string, partition int32) {
	if w.n.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.all {
		if one.topic != topic || one.partition != partition {
			continue
		}
		if one.left--; one.left == 0 {
			close(one.ready)
			delete(w.all, one)
		}
	}
	w.n.Store(int32(len(w.all)))
}

// until waits for the waiter's turn; false when the proxy ends before it.
func (w *waiting) until(ctx context.Context, one *waiter, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, one)
		w.n.Store(int32(len(w.all)))
	}()
	select {
	case <-one.ready:
	case <-timer.C:
	case <-w.healed:
	case <-ctx.Done():
		return false
	}
	return true
}

// answerLimit is how long a broker may take to answer what was held or sent again.
const answerLimit = 10 * time.Second

// holdBack keeps a request, and gives it to the broker later, on the connection on
// which it came. The client's side is gone.
func (c *conn) holdBack(e *expect) {
	defer func() { _ = c.upstream.Close() }()
	s := e.plan.strikes[0]
	defer c.p.engine.finish(s)
	one := &waiter{ready: make(chan struct{})} // what is not about a batch has nothing to count
	if s.topic != "" {
		one = c.p.waiting.add(s.topic, s.partition, s.rule.After)
	}
	<-c.answered // who would take frames, too
	released := make(chan bool, 1)
	c.p.serving.Go(func() { released <- c.p.waiting.until(c.p.ctx, one, s.rule.For) })
	for on := true; on; { // answers to earlier requests, which the client does not get
		select {
		case ok := <-released:
			if !ok {
				s.hit.Note = "never released: the proxy ended before"
				return
			}
			on = false
		case _, ok := <-c.frames:
			if !ok {
				s.hit.Note = "never released: the broker had closed the connection"
				return
			}
		}
	}
	if err := writeFrame(c.upstream, e.r.frame); err != nil {
		s.hit.Note = "never released: the broker had closed the connection"
		return
	}
	if e.acks0 {
		return
	}
	timer := time.NewTimer(answerLimit)
	defer timer.Stop()
	for {
		select {
		case frame, ok := <-c.frames:
			if !ok {
				s.hit.Note = "the broker closed the connection on which it was released"
				return
			}
			if correlationOf(frame) == e.r.correlation {
				s.hit.Late = c.codeOf(e, s, frame)
				return
			}
		case <-timer.C:
			s.hit.Note = fmt.Sprintf("released, but not answered within %s", answerLimit)
			return
		case <-c.p.ctx.Done():
			s.hit.Note = "released, but not answered before the proxy ended"
			return
		}
	}
}

// codeOf is the broker's answer to the struck batch; nil when it cannot be told.
func (c *conn) codeOf(e *expect, s *strike, frame []byte) *int16 {
	if e.r.key != apiProduce {
		return nil
	}
	receipts, _, err := walkReceipts(&e.r, frame, c.p.topics.name)
	if err != nil {
		return nil
	}
	for _, rc := range receipts {
		if rc.topic == s.topic && rc.partition == s.partition {
			code := int16(binary.BigEndian.Uint16(rc.code))
			return &code
		}
	}
	return nil
}

// sendAgain gives the broker the identical bytes once more: on a connection of its
// own or, when clients have to show who they are, on theirs.
func (c *conn) sendAgain(e *expect, s *strike) {
	defer c.p.engine.finish(s)
	one := c.p.waiting.add(s.topic, s.partition, s.rule.After)
	if !c.p.waiting.until(c.p.ctx, one, s.rule.For) {
		s.hit.Note = "not sent again: the proxy ended before"
		return
	}
	var frame []byte
	var err error
	if e.sasl {
		s.hit.Note = "sent again on the client's own connection, which has shown who it is"
		frame, err = c.askAgain(e)
	} else {
		frame, err = c.askElsewhere(e)
	}
	if err != nil {
		s.hit.Note = "not sent again: " + err.Error()
		return
	}
	s.hit.Late = c.codeOf(e, s, frame)
}

// sent is what the broker was given.
func (e *expect) sent() []byte {
	if e.plan != nil && e.plan.forward != nil {
		return e.plan.forward
	}
	return e.r.frame
}

func (c *conn) askAgain(e *expect) ([]byte, error) {
	answer := make(chan []byte, 1)
	if err := c.forward(&expect{r: e.r, late: func(frame []byte) { answer <- frame }, facts: e.facts}, e.sent()); err != nil {
		return nil, fmt.Errorf("the client has closed its connection")
	}
	timer := time.NewTimer(answerLimit)
	defer timer.Stop()
	select {
	case frame := <-answer:
		if frame == nil {
			return nil, fmt.Errorf("its connection ended before the answer")
		}
		return frame, nil
	case <-timer.C:
		return nil, fmt.Errorf("no answer within %s", answerLimit)
	case <-c.p.ctx.Done():
		return nil, c.p.ctx.Err()
	}
}

func (c *conn) askElsewhere(e *expect) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.p.ctx, answerLimit)
	defer cancel()
	up, err := c.p.dial(ctx, c.node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = up.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer stop()
	if err := writeFrame(up, e.sent()); err != nil {
		return nil, err
	}
	return readFrame(bufio.NewReader(up))
}
