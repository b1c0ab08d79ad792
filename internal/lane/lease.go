package lane

import "context"

// A lease is what a run that starts now is given. It is read without a lock when
// the run starts, not when its worker took it: a bunch may be long, and the token
// of its last run must not be older than the start of that run.
type lease struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	token  int64
}

func newLease(token int64) *lease {
	l := &lease{token: token}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// Halt bits of the package itself; callers use the lower ones.
const (
	haltClosed    = 1 << 31 // the ownership has ended
	haltCancelled = 1 << 30 // between Cancel and Renew
	haltOurs      = haltClosed | haltCancelled | HaltGate
)

// Tag returns what the partition's configuration says.
func (p *Partition) Tag() uint64 { return p.cfg.Tag }

// Token returns the fencing token that the next run starts with.
func (p *Partition) Token() int64 { return p.lease.Load().token }

// SetToken gives the runs that start from now on a new token.
func (p *Partition) SetToken(token int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := *p.lease.Load()
	l.token = token
	p.lease.Store(&l)
}

// SetHalt adds reasons: while any is set no item starts. Runs that are with a
// worker stop before their next item.
func (p *Partition) SetHalt(bits uint32) { p.halt.Or(bits &^ haltOurs) }

// ClearHalt removes reasons; with the last one the partition goes on.
func (p *Partition) ClearHalt(bits uint32) { p.clear(bits &^ haltOurs) }

func (p *Partition) clear(bits uint32) {
	if rest := p.halt.And(^bits) &^ bits; rest != 0 {
		if rest == HaltGate {
			p.pool.pump()
		}
		return
	}
	p.mu.Lock()
	more := p.dispatchable()
	p.mu.Unlock()
	if more {
		p.pool.list(p)
	}
}

// Closed says that the ownership has ended.
func (p *Partition) Closed() bool { return p.halt.Load()&haltClosed != 0 }

// Halted returns the reasons that are set, those of the package included.
func (p *Partition) Halted() uint32 { return p.halt.Load() }

// Cancel ends the context of the runs that are with a worker. Nothing starts
// until Renew: it could only start with a context that has ended.
func (p *Partition) Cancel(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halt.Or(haltCancelled)
	p.lease.Load().cancel(cause)
}

// Renew gives the runs that start from now on a new context, after a Cancel
// that did not end the ownership.
func (p *Partition) Renew() {
	p.mu.Lock()
	l := p.lease.Load()
	if p.closed || l.ctx.Err() == nil {
		p.mu.Unlock()
		return
	}
	p.lease.Store(newLease(l.token))
	p.mu.Unlock()
	p.clear(haltCancelled)
}
