package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Addrs are the nodes' plain addresses, whether they run or not.
func (c *Cluster) Addrs() []string {
	return c.addrs(func(n *node) string { return n.addr })
}

// ListenerAddrs are the nodes' addresses of one of Options.Listeners.
func (c *Cluster) ListenerAddrs(name string) []string {
	return c.addrs(func(n *node) string { return n.extra[name] })
}

func (c *Cluster) addrs(of func(*node) string) []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, of(n))
	}
	return addrs
}

// Kill ends a node with SIGKILL, paused or not, and returns when it is gone.
func (c *Cluster) Kill(id int) error {
	return c.on(id, "killing", (*node).kill)
}

// Stop asks a node to end, so that its leaders move first, and returns when it is
// gone. One that does not end in time is killed, and that is an error.
func (c *Cluster) Stop(ctx context.Context, id int) error {
	return c.on(id, "stopping", func(n *node) error { return n.stop(ctx) })
}

// Pause stops a node with SIGSTOP: its connections stay open and nothing answers.
func (c *Cluster) Pause(id int) error {
	return c.on(id, "pausing", func(n *node) error { return pause(n.proc.cmd.Process) })
}

// Resume lets a paused node go on as if nothing had happened.
func (c *Cluster) Resume(id int) error {
	return c.on(id, "resuming", func(n *node) error { return resume(n.proc.cmd.Process) })
}

// Restart stops a node that still runs, starts it on its old address and data, and
// returns when it says that it is a live part of the cluster.
func (c *Cluster) Restart(ctx context.Context, id int) error {
	return c.on(id, "restarting", func(n *node) error {
		if err := n.stop(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not up after %s", startLimit))
		defer cancel()
		if err := c.launch(n); err != nil {
			return err
		}
		return n.await(ctx, 1)
	})
}

func (c *Cluster) on(id int, doing string, do func(*node) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id < 1 || id > len(c.nodes) {
		return fmt.Errorf("kafkatest: %s node %d: there are nodes 1 to %d", doing, id, len(c.nodes))
	}
	if err := do(c.nodes[id-1]); err != nil {
		return fmt.Errorf("kafkatest: %s node %d: %w", doing, id, err)
	}
	return nil
}

// kill is also right for a node that never started.
func (n *node) kill() error {
	n.down = true
	if n.proc == nil {
		return nil
	}
	return n.proc.kill()
}

func (n *node) stop(ctx context.Context) error {
	n.down = true
	if err := terminate(n.proc.cmd.Process); errors.Is(err, os.ErrProcessDone) {
		return nil
	} else if err != nil {
		return err
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	why := "it did not end within " + stopLimit.String()
	select {
	case <-n.proc.done:
		return nil
	case <-ctx.Done():
		why = context.Cause(ctx).Error()
	case <-limit.C:
	}
	if err := n.kill(); err != nil {
		return err
	}
	return fmt.Errorf("%s, and was killed%s", why, n.proc.tail())
}
