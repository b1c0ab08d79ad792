package group

import (
	"sync"
	"time"
)

// heard is our own clock of the session: how long ago the last request was sent
// that the coordinator answered. The coordinator counts from when it received
// that request, which is later: when our clock has run out, its has not yet.
type heard struct {
	mu     sync.Mutex
	last   time.Time // monotonic
	joinAt time.Time // a JoinGroup is on its way since then; zero: none
	syncBy time.Time // it was answered then, and the SyncGroup after it is not yet; zero: none
	beat   time.Time // the last heartbeat that was answered was sent then
	quiet  time.Time // and the one before it, or the last SyncGroup: no rebalance had begun
	drains int       // revokes under way: until they end the member cannot join again
}

func (h *heard) start() {
	now := time.Now()
	h.last, h.beat, h.quiet = now, now, now
}

// beaten takes the answer to a heartbeat. If it says that a rebalance has begun,
// which the client's hooks do not tell, then not before the heartbeat before it.
// While a revoke is under way it may be any of them that says so.
func (h *heard) beaten(sent time.Time) {
	h.mu.Lock()
	if h.drains == 0 {
		h.quiet = h.beat
	}
	h.beat = sent
	h.mu.Unlock()
}

// revoking marks a revoke, until the function that it returns is called.
func (h *heard) revoking() (ended func()) {
	h.mu.Lock()
	h.drains++
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		h.drains--
		h.mu.Unlock()
	}
}

// synced takes the answer to a SyncGroup: that rebalance is over.
func (h *heard) synced(sent time.Time) {
	h.mu.Lock()
	h.quiet, h.beat = sent, sent
	h.joinAt, h.syncBy = time.Time{}, time.Time{}
	h.mu.Unlock()
}

// rebalancing returns for how long a rebalance may have been under way.
func (h *heard) rebalancing() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.quiet)
}

func (h *heard) answered(sent time.Time) {
	h.mu.Lock()
	if sent.After(h.last) {
		h.last = sent
	}
	h.mu.Unlock()
}

func (h *heard) joinSent() {
	h.mu.Lock()
	h.joinAt, h.syncBy = time.Now(), time.Time{}
	h.mu.Unlock()
}

// joinAnswered begins the wait for the others' SyncGroup: with the answer the
// coordinator has begun a session, and it is long no more.
func (h *heard) joinAnswered() {
	h.mu.Lock()
	h.joinAt, h.syncBy = time.Time{}, time.Now()
	h.mu.Unlock()
}

func (h *heard) joinEnded() {
	h.mu.Lock()
	h.joinAt = time.Time{}
	h.mu.Unlock()
}

// left returns how much of the session is left. A rebalance that may have begun ends
// it when it has waited for us for as long as it does. While a join is pending the
// coordinator keeps the member, and answers only when the others have joined:
// for as long as the rebalance may take it counts as heard. From that answer on a
// session runs, which the coordinator began a moment before we got it.
func (h *heard) left(session, rebalance time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := min(session-time.Since(h.last), rebalance-time.Since(h.quiet))
	if !h.joinAt.IsZero() {
		left = max(left, rebalance-time.Since(h.joinAt))
	}
	if !h.syncBy.IsZero() {
		left = max(left, min(session, rebalance)*9/10-time.Since(h.syncBy))
	}
	return left
}
