package localbroker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerTimeout is how long a broker named in a lock file may take to answer.
const answerTimeout = 5 * time.Second

// startTimeout is how long Use waits for another process that has the directory
// and does not answer yet: it may be loading, or ending.
const startTimeout = 60 * time.Second

// A Usage is a directory that is served: by us, or by another process.
type Usage struct {
	Addr string

	broker *Broker // nil: another's
	dir    string
	by     holder
}

// Close gives the directory back: it ends a broker that Use has opened, and does
// nothing to another's.
func (u *Usage) Close() error {
	if u.broker != nil {
		return u.broker.Close()
	}
	return nil
}

// Use serves the directory for the call, or connects to the process that does.
func Use(ctx context.Context, o Options) (*Usage, error) {
	o.call = true
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := Open(ctx, o)
		if err == nil {
			return &Usage{Addr: b.Addr(), broker: b, dir: o.Dir}, nil
		}
		var used *InUseError
		if !errors.As(err, &used) {
			return nil, err
		}
		if h, cerr := connect(ctx, o.Dir); cerr == nil {
			if h.Call && o.Notice != nil {
				o.Notice(fmt.Sprintf("%s is served by another command (process %d), and ends with it; for several commands run: orderly broker --data %s", o.Dir, h.PID, o.Dir))
			}
			return &Usage{Addr: h.Address, dir: o.Dir, by: h}, nil
		}
		// Its holder starts, ends, or has died since: look again.
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-patience.C:
			return nil, fmt.Errorf("%w (waited %s for its answer)", err, startTimeout)
		case <-tick.C:
		}
	}
}

// Ended returns when ctx ends, with nil; or with an EndedError when the broker was
// another command's and has ended with it: it does not come back at its address.
func (u *Usage) Ended(ctx context.Context) error {
	if !u.by.Call {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if u.gone(ctx) && ctx.Err() == nil {
			return &EndedError{u.dir, u.by.PID}
		}
	}
}

func (u *Usage) gone(ctx context.Context) bool {
	h, err := readHolder(ctx, u.dir)
	if err == nil && (h.Address != u.by.Address || h.PID != u.by.PID) {
		return true
	}
	if ask(ctx, u.by) == nil {
		return false
	}
	// It may be dead, or frozen: its lock tells.
	f, err := os.OpenFile(filepath.Join(u.dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer func() { _ = f.Close() }() // which gives the lock back
	return lockFile(f) == nil
}

// Connect returns the address at which the directory is served. It asks there:
// the file may be old, and the port another's.
func Connect(ctx context.Context, dir string) (addr string, err error) {
	h, err := connect(ctx, dir)
	return h.Address, err
}

func connect(ctx context.Context, dir string) (holder, error) {
	h, err := readHolder(ctx, dir)
	if err != nil {
		return holder{}, &DataError{dir, "reading its lock file", err}
	}
	if h.Address == "" {
		return holder{}, &NotServedError{Dir: dir}
	}
	if err := ask(ctx, h); err != nil {
		return holder{}, &NotServedError{dir, h.Address, err}
	}
	return h, nil
}

// ask checks that the broker that the lock file names is the one that answers.
func ask(ctx context.Context, h holder) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.Address), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none: only who it is
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if resp.ClusterID == nil || *resp.ClusterID != h.ClusterID {
		return errors.New("another Kafka answers there")
	}
	return nil
}
