package localbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerTimeout is how long a broker named in a lock file may take to answer.
const answerTimeout = 5 * time.Second

// startTimeout is how long Use waits for another process that has the directory
// and does not answer yet: it may be loading, or ending.
const startTimeout = 60 * time.Second

// Use serves the directory for the call, or connects to the process that does.
// release gives it back: it closes a broker that Use has opened, and does
// nothing to another's.
func Use(ctx context.Context, o Options) (addr string, release func() error, err error) {
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := Open(ctx, o)
		if err == nil {
			return b.Addr(), b.Close, nil
		}
		var used *InUseError
		if !errors.As(err, &used) {
			return "", nil, err
		}
		if addr, cerr := Connect(ctx, o.Dir); cerr == nil {
			return addr, func() error { return nil }, nil // another's: not ours to close
		}
		// Its holder starts, ends, or has died since: look again.
		select {
		case <-ctx.Done():
			return "", nil, fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-patience.C:
			return "", nil, fmt.Errorf("%w (waited %s for its answer)", err, startTimeout)
		case <-tick.C:
		}
	}
}

// Connect returns the address at which the directory is served. It asks there:
// the file may be old, and the port another's.
func Connect(ctx context.Context, dir string) (addr string, err error) {
	h, err := readHolder(ctx, dir)
	if err != nil {
		return "", &DataError{dir, "reading its lock file", err}
	}
	if h.Address == "" {
		return "", &NotServedError{Dir: dir}
	}
	if err := ask(ctx, h); err != nil {
		return "", &NotServedError{dir, h.Address, err}
	}
	return h.Address, nil
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
