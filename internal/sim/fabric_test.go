//go:build synctests

package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// latency of one message in one direction. It is above zero because the rule
// under test rests on it: a member's own session clock counts from the sending of
// a request, the coordinator's from its arrival.
const latency = time.Millisecond

// A fabric is the network. Each connection is cut into messages, so that single
// requests can be held, lost or made to arrive after their connection is gone.
type fabric struct {
	kfake.VirtualNetwork
	// answered is told of each answer when the broker gives it, before the network
	// can delay it.
	answered func(req, resp []byte)
	// waiting is told of each JoinGroup and SyncGroup that has reached a broker;
	// done is closed when the broker has answered it.
	waiting func(req []byte, done <-chan struct{})

	carriers sync.WaitGroup // the goroutines of all links
}

// A host is one process's place in the fabric.
type host struct {
	f *fabric

	mu       sync.Mutex
	cut      bool
	stalled  chan struct{} // closed when the stall ends; nil: none
	oneWay   bool          // the stall is of answers only
	holds    []hold
	links    map[*link]struct{}
	requests func(key int16, req []byte) // an observer; may be nil
	late     func(key kmsg.Key)          // another: a message is stopped on its way
}

// A hold delays one message: the next request of its kind, or the answer to it.
type hold struct {
	key    kmsg.Key
	until  <-chan struct{}
	answer bool
	lose   bool // afterwards the message is gone
}

type message struct {
	at    time.Time // when it arrives
	bytes []byte
	key   kmsg.Key
	corr  int32
	until <-chan struct{}
	lose  bool
}

// A link is one connection of a host.
type link struct {
	h              *host
	client, server net.Conn
	up, down       chan message

	mu      sync.Mutex
	sent    map[int32][]byte        // requests without an answer, by correlation
	joins   map[int32]bool          // JoinGroups that the client has written, and not got an answer to
	pending map[int32]chan struct{} // JoinGroups and SyncGroups that the broker has not answered
	closing bool                    // the client has gone
	drop    bool                    // and what it sent is lost
}

func newHost(f *fabric) *host { return &host{f: f, links: make(map[*link]struct{})} }

var errUnreachable = errors.New("network is unreachable")

func (h *host) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := h.passable(ctx, true); err != nil {
		// The client looks for its producer id without a pause while no broker can be
		// dialled; a dial that takes no time would stop the clock.
		time.Sleep(time.Millisecond)
		return nil, err
	}
	server, err := h.f.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	mine, client := net.Pipe()
	l := &link{
		h: h, client: client, server: server, up: make(chan message, 1024), down: make(chan message, 1024),
		sent: make(map[int32][]byte), joins: make(map[int32]bool), pending: make(map[int32]chan struct{}),
	}
	h.mu.Lock()
	h.links[l] = struct{}{}
	h.mu.Unlock()
	h.f.carriers.Go(l.readRequests)
	h.f.carriers.Go(l.deliverRequests)
	h.f.carriers.Go(l.readAnswers)
	h.f.carriers.Go(l.deliverAnswers)
	return mine, nil
}

// passable waits for the end of a stall of this direction.
func (h *host) passable(ctx context.Context, answers bool) error {
	for {
		h.mu.Lock()
		cut, stalled := h.cut, h.stalled
		if h.oneWay && !answers {
			stalled = nil
		}
		h.mu.Unlock()
		if cut {
			return errUnreachable
		}
		if stalled == nil {
			return nil
		}
		select {
		case <-stalled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stall stops all traffic without an error, or only that to the host, until the
// function that it returns is called.
func (h *host) stall(oneWay bool) (end func()) {
	ch := make(chan struct{})
	h.mu.Lock()
	h.stalled, h.oneWay = ch, oneWay
	h.mu.Unlock()
	return sync.OnceFunc(func() {
		h.mu.Lock()
		if h.stalled == ch {
			h.stalled = nil
		}
		h.mu.Unlock()
		close(ch)
	})
}

// reset breaks all connections. What is on its way to the brokers is lost, or
// arrives all the same.
func (h *host) reset(lose bool) {
	h.mu.Lock()
	links := make([]*link, 0, len(h.links))
	for l := range h.links {
		links = append(links, l)
	}
	h.mu.Unlock()
	for _, l := range links {
		l.mu.Lock()
		l.drop = lose
		l.mu.Unlock()
		l.client.Close()
	}
}

// kill takes the process off the network for good.
func (h *host) kill(lose bool) {
	h.mu.Lock()
	h.cut = true
	h.mu.Unlock()
	h.reset(lose)
}

func (h *host) add(x hold) {
	h.mu.Lock()
	h.holds = append(h.holds, x)
	h.mu.Unlock()
}

// held takes the first hold that is for such a message. One whose time was over before
// the message came is none.
func (h *host) held(key kmsg.Key, answer bool) (until <-chan struct{}, lose bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = slices.DeleteFunc(h.holds, func(x hold) bool {
		select {
		case <-x.until:
			return true
		default:
			return false
		}
	})
	for i, x := range h.holds {
		if x.key == key && x.answer == answer {
			h.holds = append(h.holds[:i:i], h.holds[i+1:]...)
			return x.until, x.lose
		}
	}
	return nil, false
}

// stopped tells the observer of a message that does not arrive now.
func (h *host) stopped(m message) {
	h.mu.Lock()
	stalled, late := h.stalled != nil, h.late
	h.mu.Unlock()
	if late != nil && (stalled || m.until != nil) {
		late(m.key)
	}
}

// joining says whether a JoinGroup waits for its answer.
func (h *host) joining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.links {
		l.mu.Lock()
		n := len(l.joins)
		l.mu.Unlock()
		if n > 0 {
			return true
		}
	}
	return false
}

func (l *link) readRequests() {
	defer close(l.up)
	for {
		b, err := readMessage(l.client)
		if err != nil {
			l.mu.Lock()
			l.closing = true
			clear(l.joins)
			l.mu.Unlock()
			return
		}
		r := kbin.Reader{Src: b[4:]}
		m := message{at: time.Now().Add(latency), bytes: b, key: kmsg.Key(r.Int16())}
		r.Int16()
		m.corr = r.Int32()
		m.until, m.lose = l.h.held(m.key, false)
		l.h.stopped(m)
		if m.key == kmsg.JoinGroup {
			l.mu.Lock()
			l.joins[m.corr] = true
			l.mu.Unlock()
		}
		l.h.mu.Lock()
		seen := l.h.requests
		l.h.mu.Unlock()
		if seen != nil {
			seen(m.key.Int16(), b)
		}
		l.up <- m
	}
}

func (l *link) deliverRequests() {
	broken := false
	for m := range l.up {
		if broken || !l.arrive(m, false) {
			continue
		}
		l.mu.Lock()
		dropped := l.drop
		if !dropped {
			l.sent[m.corr] = m.bytes
		}
		if !dropped && (m.key == kmsg.JoinGroup || m.key == kmsg.SyncGroup) && l.h.f.waiting != nil {
			done := make(chan struct{})
			l.pending[m.corr] = done
			l.h.f.waiting(m.bytes, done)
		}
		l.mu.Unlock()
		if dropped {
			continue
		}
		if _, err := l.server.Write(m.bytes); err != nil {
			broken = true
			l.client.Close()
		}
	}
	l.settle()
}

// settle closes the broker's side when the client has gone and everything that it
// sent is answered: a broker handles what has reached it.
func (l *link) settle() {
	l.mu.Lock()
	done := l.closing && len(l.sent) == 0
	l.mu.Unlock()
	if done {
		l.server.Close()
	}
}

func (l *link) readAnswers() {
	defer close(l.down)
	defer func() {
		l.server.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, done := range l.pending {
			close(done)
		}
		clear(l.pending)
	}()
	for {
		b, err := readMessage(l.server)
		if err != nil {
			return
		}
		m := message{at: time.Now().Add(latency), bytes: b, corr: int32(binary.BigEndian.Uint32(b[4:]))}
		l.mu.Lock()
		req := l.sent[m.corr]
		delete(l.sent, m.corr)
		if done := l.pending[m.corr]; done != nil {
			close(done)
			delete(l.pending, m.corr)
		}
		closing := l.closing
		l.mu.Unlock()
		if req != nil {
			m.key = kmsg.Key(int16(binary.BigEndian.Uint16(req[4:])))
			if l.h.f.answered != nil {
				l.h.f.answered(req, b)
			}
			m.until, m.lose = l.h.held(m.key, true)
			l.h.stopped(m)
		}
		if closing {
			l.settle()
			continue
		}
		l.down <- m
	}
}

func (l *link) deliverAnswers() {
	defer l.forget()
	broken := false
	for m := range l.down {
		if broken || !l.arrive(m, true) {
			continue
		}
		if m.key == kmsg.JoinGroup {
			l.mu.Lock()
			delete(l.joins, m.corr)
			l.mu.Unlock()
		}
		_, err := l.client.Write(m.bytes)
		broken = err != nil
	}
}

func (l *link) forget() {
	l.client.Close()
	l.h.mu.Lock()
	delete(l.h.links, l)
	l.h.mu.Unlock()
}

// arrive waits until the message gets there; false: it does not.
func (l *link) arrive(m message, answer bool) bool {
	if d := time.Until(m.at); d > 0 {
		time.Sleep(d)
	}
	if m.until != nil {
		<-m.until
	}
	if m.lose {
		return false
	}
	// A cut concerns connections; what has left them arrives, or was dropped there.
	_ = l.h.passable(context.Background(), answer)
	return true
}

func readMessage(c net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	b := make([]byte, 4+binary.BigEndian.Uint32(head))
	copy(b, head)
	_, err := io.ReadFull(c, b[4:])
	return b, err
}
