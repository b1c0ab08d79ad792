package group

import (
	"context"
	"sync"
)

// pollGate lets others wait for the end of the poll that is under way.
type pollGate struct {
	mu     sync.Mutex
	inPoll bool
	cancel context.CancelFunc
	next   chan struct{} // closed at the end of a poll
}

// enter begins a poll; its context ends when a barrier wants the poll to end.
func (g *pollGate) enter(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	g.mu.Lock()
	g.inPoll = true
	g.cancel = cancel
	g.mu.Unlock()
	return ctx
}

// leave ends it: what it returned has been taken.
func (g *pollGate) leave() {
	g.mu.Lock()
	g.inPoll = false
	g.cancel()
	close(g.next)
	g.next = make(chan struct{})
	g.mu.Unlock()
}

// barrier returns when no poll is under way that began before it was called.
func (g *pollGate) barrier() {
	g.mu.Lock()
	if !g.inPoll {
		g.mu.Unlock()
		return
	}
	g.cancel()
	next := g.next
	g.mu.Unlock()
	<-next
}

// A turn is a mutex that is held across a request. Who waits for it waits on a
// channel: testing/synctest lets time pass then, and not for a sync.Mutex.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }
