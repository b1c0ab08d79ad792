package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A conn is a client's connection and the one to the broker behind it. Three
// goroutines serve it: one takes the client's requests (run), one the broker's
// frames, one answers the client, in the order in which it asked.
type conn struct {
	p    *Proxy
	node *node

	client   net.Conn
	upstream *upstream

	sending  sync.Mutex   // a frame and what is expected for it go together
	expected chan *expect // in the order of the requests
	frames   chan []byte  // the broker's; closed when it closes the connection

	pending []byte // taken of frames, for a request that we answer before; of answers alone

	gone     chan struct{} // the client's side is over
	answered chan struct{} // nobody answers it any more
	cutOnce  sync.Once
	heldOver bool // what is held has taken the broker's side; run's alone

	facts  *clientFacts // nil until the first request tells who it is; run's alone
	raw    int          // that many SASL tokens without a header are to come; run's alone
	authed bool         // the client has shown who it is, in SASL; run's alone
}

// maxExpected is how many requests of a connection may wait for their answer
// before the next is taken.
const maxExpected = 1024

// An expect is a request whose answer the client waits for.
type expect struct {
	r      request
	plan   *plan
	acks0  bool
	raw    bool // a SASL token
	sasl   bool // the client has shown who it is
	pushed bool
	local  []byte // the answer, when the broker is not asked
	late   func(frame []byte)
	facts  *clientFacts
}

func newConn(p *Proxy, n *node, client net.Conn) *conn {
	return &conn{p: p, node: n, client: client, expected: make(chan *expect, maxExpected), frames: make(chan []byte), gone: make(chan struct{}), answered: make(chan struct{})}
}

// cut ends the client's side.
func (c *conn) cut() {
	c.cutOnce.Do(func() {
		close(c.gone)
		_ = c.client.Close()
	})
}

func (c *conn) run() {
	defer c.cut()
	up, err := c.p.dial(c.p.ctx, c.node)
	if err != nil {
		c.p.trouble(c.node, err)
		return
	}
	c.upstream = up
	defer func() {
		if !c.heldOver {
			_ = up.Close()
		}
	}()
	c.p.serving.Go(c.readUpstream)
	go func() {
		defer close(c.answered)
		defer c.cut()
		if err := c.answers(); err != nil && !isOver(err) {
			c.p.trouble(c.node, err)
		}
	}()
	if err := c.requests(); err != nil && !isOver(err) {
		c.p.trouble(c.node, err)
	}
	c.cut()
	<-c.answered
	c.abandon()
}

// readUpstream takes the broker's frames.
func (c *conn) readUpstream() {
	defer close(c.frames)
	in := bufio.NewReaderSize(c.upstream, 64<<10)
	for n := 0; ; n++ {
		frame, err := readFrame(in)
		if err != nil {
			if n == 0 {
				c.p.noteAlert(c.upstream, err)
			}
			return
		}
		select {
		case c.frames <- frame:
		case <-c.p.ctx.Done():
			return
		case <-c.upstream.closed:
			return
		}
	}
}

// requests takes the client's requests.
func (c *conn) requests() error {
	in := bufio.NewReaderSize(c.client, 64<<10)
	for {
		frame, err := readFrame(in)
		if err != nil {
			if isOver(err) {
				return nil
			}
			return fmt.Errorf("reading from the client: %w", err)
		}
		if c.raw > 0 {
			c.raw--
			if err := c.forward(&expect{raw: true}, frame); err != nil {
				return nil
			}
			continue
		}
		r, err := parseRequest(frame)
		if err != nil {
			return fmt.Errorf("a request of the client's: %w", err)
		}
		over, err := c.request(&r)
		if err != nil || over {
			return err
		}
	}
}

// request passes a request on, or does what is planned for it; over says that the
// connection ends with it.
func (c *conn) request(r *request) (over bool, err error) {
	c.meet(r)
	if handled, err := c.special(r); handled || err != nil {
		return err != nil, c.p.obstructed(err)
	}
	e := &expect{r: *r, facts: c.facts, sasl: c.authed}
	if r.key == apiProduce {
		w, err := walkProduce(r, c.p.topics.name)
		if err != nil {
			return true, fmt.Errorf("a produce request of version %d: %w", r.version, err)
		}
		c.facts.produced(w.parts)
		e.acks0 = w.acks == 0
		e.plan, err = c.p.engine.produce(c, r, &w)
		if err != nil {
			return true, err
		}
	} else if e.plan, err = c.p.engine.other(c, r); err != nil {
		return true, err
	}
	return c.carryOut(e), nil
}

// carryOut does what is planned for a request.
func (c *conn) carryOut(e *expect) (over bool) {
	p, frame := e.plan, e.r.frame
	switch {
	case p == nil:
		return c.forward(e, frame) != nil
	case p.cut:
		c.finish(p, "")
		return true
	case p.hold:
		c.heldOver = true
		c.cut()
		c.p.serving.Go(func() { c.holdBack(e) })
		return true
	case p.drop:
		e.local = p.answer
		if c.push(e) != nil {
			c.unanswered(e)
			return true
		}
		return false
	case p.delay > 0:
		if !c.pause(p.delay) {
			c.unanswered(e)
			return true
		}
	}
	if p.forward != nil {
		frame = p.forward
	}
	if err := c.forward(e, frame); err != nil {
		if !e.pushed { // else it is among those that abandon sees to
			c.unanswered(e)
		}
		return true
	}
	if e.acks0 {
		c.finish(p, "")
		return p.then == cutOff
	}
	return false
}

// forward gives the broker a frame, and expects its answer unless there is none.
func (c *conn) forward(e *expect, frame []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if !e.acks0 {
		if err := c.push(e); err != nil {
			return err
		}
	}
	return writeFrame(c.upstream, frame)
}

func (c *conn) push(e *expect) error {
	select {
	case c.expected <- e:
		e.pushed = true // as only the goroutine that pushes may ask
		return nil
	case <-c.gone:
		return net.ErrClosed
	}
}

// pause waits; false when the connection has ended before.
func (c *conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.p.waiting.healed:
		return true
	case <-c.gone:
		return false
	}
}

var errUnasked = errors.New("the broker answered what was not asked, or not in the order of the requests")

// answers gives the client its answers, in the order of its requests.
func (c *conn) answers() error {
	silent := false
	for {
		e, frame, err := c.next()
		if e == nil || err != nil {
			return err
		}
		if frame == nil {
			if frame = e.local; e.plan != nil {
				c.finish(e.plan, "")
			}
		} else if frame, err = c.answer(e, frame); err != nil {
			return err
		}
		then := pass
		if e.plan != nil {
			then = e.plan.then
		}
		switch {
		case then == cutOff:
			return nil
		case then == silence:
			silent = true
		case !silent && e.late == nil:
			if err := writeFrame(c.client, frame); err != nil {
				return nil // the client has gone
			}
		}
		if e.plan == nil {
			continue
		}
		for _, s := range e.plan.strikes {
			if s.replay {
				c.p.serving.Go(func() { c.sendAgain(e, s) })
			}
		}
	}
}

// next gives the next request to be answered, with the broker's frame unless we
// answer it; nil when the connection has ended.
func (c *conn) next() (e *expect, frame []byte, err error) {
	if c.pending == nil {
		select {
		case e = <-c.expected:
		case frame, ok := <-c.frames:
			if !ok {
				return nil, nil, nil
			}
			c.pending = frame
		case <-c.gone:
			return nil, nil, nil
		}
	}
	if e == nil { // what the frame answers was put there before it was sent
		select {
		case e = <-c.expected:
		default:
			return nil, nil, errUnasked
		}
	}
	if e.local != nil {
		return e, nil, nil
	}
	if frame, c.pending = c.pending, nil; frame == nil {
		var ok bool
		select {
		case frame, ok = <-c.frames:
			if !ok {
				c.unanswered(e)
				return nil, nil, nil
			}
		case <-c.gone:
			c.unanswered(e)
			return nil, nil, nil
		}
	}
	return e, frame, c.check(e, frame)
}

func (c *conn) check(e *expect, frame []byte) error {
	if !e.raw && (len(frame) < 4 || correlationOf(frame) != e.r.correlation) {
		return errUnasked
	}
	return nil
}

// abandon is for the requests whose answers will not come any more.
func (c *conn) abandon() {
	for {
		select {
		case e := <-c.expected:
			c.unanswered(e)
		default:
			return
		}
	}
}

func (c *conn) unanswered(e *expect) {
	switch {
	case e.late != nil:
		e.late(nil)
	case e.plan == nil:
	case e.r.key == apiProduce: // the client sends it again
		for _, s := range e.plan.strikes {
			c.p.engine.giveBack(s)
		}
	default:
		c.finish(e.plan, "the connection ended before the broker's answer")
	}
}

// finish reports a plan's strikes, whose outcome is known.
func (c *conn) finish(p *plan, note string) {
	for _, s := range p.strikes {
		if note != "" {
			s.hit.Note = note
		}
		c.p.engine.finish(s)
	}
}
