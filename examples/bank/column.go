package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A column is one of the two consumers, with its database and its processes.
type column struct {
	m     member
	books *books
	adm   *kadm.Client
	dir   string // of logs
	procs []*process
	seq   int
}

// patience is how long something may take, without any progress.
const patience = 30 * time.Second

// add starts a process.
func (c *column) add() error {
	c.seq++
	p, err := begin(c.m, filepath.Join(c.dir, fmt.Sprintf("%s-%d.log", c.m.Kind, c.seq)))
	if err == nil {
		c.procs = append(c.procs, p)
	}
	return err
}

// replace kills the first process, and starts another one.
func (c *column) replace() error {
	c.procs[0].kill()
	c.procs = c.procs[1:]
	return c.add()
}

// await waits for a condition that is not about time.
func (c *column) await(ctx context.Context, what string, is func() (bool, error)) error {
	for begun := time.Now(); ; {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		for i, p := range c.procs {
			if p.gone() {
				return fmt.Errorf("the %s consumer %d of %d has ended by itself; its log is in %s", c.m.Kind, i+1, len(c.procs), c.dir)
			}
		}
		if time.Since(begun) > patience {
			return &stallError{what}
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// A stallError says what never came.
type stallError struct{ what string }

func (e *stallError) Error() string { return fmt.Sprintf("waited %s for %s", patience, e.what) }

// share waits until each process has partitions, and nobody else.
func (c *column) share(ctx context.Context) error {
	return c.await(ctx, "each "+c.m.Kind+" consumer to have partitions", func() (bool, error) {
		groups, err := c.adm.DescribeGroups(ctx, c.m.Group)
		g := groups[c.m.Group]
		if err != nil || g.Err != nil || g.State != "Stable" || len(g.Members) != len(c.procs) {
			return false, nil // not yet
		}
		for _, m := range g.Members {
			if a, ok := m.Assigned.AsConsumer(); !ok || len(a.Topics) == 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

// replaced waits until the group has lost a frozen member and its partitions have
// other owners; where a frozen process cannot hold the database up, also until these
// have told the database so.
func (c *column) replaced(ctx context.Context, before int64, members int) error {
	return c.await(ctx, "others to have the work of the frozen "+c.m.Kind+" consumer", func() (bool, error) {
		if now, err := c.tokens(ctx); err != nil || now > before {
			return err == nil, err
		}
		groups, err := c.adm.DescribeGroups(ctx, c.m.Group)
		g := groups[c.m.Group]
		return err == nil && g.Err == nil && g.State == "Stable" && len(g.Members) < members && !c.fenced(), nil
	})
}

// fenced says that the database knows the owners, and that a frozen one does not hold
// it up: SQLite has one right to write, and it can be the frozen one's.
func (c *column) fenced() bool { return c.m.Kind == orderlyKind && c.books.owners != nil }

func (c *column) tokens(ctx context.Context) (int64, error) {
	if !c.fenced() {
		return 0, nil
	}
	return c.books.owners(ctx, c.m.Group, c.m.Topic)
}

// zombie freezes a process until others have its work, and lets it go on.
func (c *column) zombie(ctx context.Context) (err error) {
	before, err := c.tokens(ctx)
	if err != nil {
		return err
	}
	p := c.procs[len(c.procs)-1]
	if err := p.freeze(); err != nil {
		return err
	}
	return errors.Join(c.replaced(ctx, before, len(c.procs)), p.thaw())
}

// through waits until the group has committed the end of the topic.
func (c *column) through(ctx context.Context) error {
	return c.await(ctx, "the "+c.m.Kind+" consumers to be through", func() (bool, error) {
		ends, err := c.adm.ListEndOffsets(ctx, c.m.Topic)
		if err != nil {
			return false, nil
		}
		offsets, err := c.adm.FetchOffsetsForTopics(ctx, c.m.Group, c.m.Topic)
		if err != nil {
			return false, nil
		}
		done := true
		ends.Each(func(e kadm.ListedOffset) {
			o, ok := offsets.Lookup(e.Topic, e.Partition)
			done = done && (e.Offset == 0 || ok && o.At >= e.Offset)
		})
		return done, nil
	})
}

// end stops the processes.
func (c *column) end() {
	for _, p := range c.procs {
		p.stop()
	}
	c.procs = nil
}

// abandon kills what still runs.
func (c *column) abandon() {
	for _, p := range c.procs {
		p.kill()
	}
}
