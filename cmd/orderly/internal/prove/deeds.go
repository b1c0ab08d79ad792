package prove

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What happens to the nodes.

// leaderFails kills a leader whose followers have not got its last records: they
// were stopped for a moment, as a network or a long collection of garbage stops them.
// They are in sync by the rules, and one of them becomes the leader.
func leaderFails(ctx context.Context, c *Config, _ *world, all []*failing) error {
	noteAll(all, "followers stopped")
	if err := errors.Join(c.Nodes.Pause(2), c.Nodes.Pause(3)); err != nil {
		return err
	}
	giveAll(ctx, all)
	err := answered(ctx, those(all, func(f *failing) bool { return f.who.Client.Acks == "1" }))
	if err := errors.Join(err, killLeader(c, all), c.Nodes.Resume(2), c.Nodes.Resume(3)); err != nil {
		return err
	}
	giveAll(ctx, all)
	if err := answered(ctx, all); err != nil {
		return err
	}
	return c.Nodes.Restart(ctx, leader)
}

// uncleanElection kills a leader that was the only replica in sync: its follower was
// stopped until it was out of sync, and is back.
func uncleanElection(ctx context.Context, c *Config, w *world, all []*failing) error {
	noteAll(all, "follower stopped")
	if err := c.Nodes.Pause(2); err != nil {
		return err
	}
	alone := func(_ *failing, p kmsg.MetadataResponseTopicPartition) bool {
		return p.Leader == leader && len(p.ISR) == 1
	}
	if err := w.until(ctx, all, "the follower to be out of sync", alone); err != nil {
		return errors.Join(err, c.Nodes.Resume(2))
	}
	giveAll(ctx, all)
	has := func(name, value string) func(*failing) bool {
		return func(f *failing) bool { return f.one.on.configs[name] == value }
	}
	one := those(all, has(minISR, "1"))
	err := answered(ctx, one)
	if err := errors.Join(err, killLeader(c, all), c.Nodes.Resume(2)); err != nil {
		return err
	}
	giveAll(ctx, all)
	if err := answered(ctx, those(one, has(unclean, "true"))); err != nil {
		return err
	}
	// The others wait for the leader that has their records.
	if err := c.Nodes.Restart(ctx, leader); err != nil {
		return err
	}
	return answered(ctx, all)
}

const (
	minISR  = "min.insync.replicas"
	unclean = "unclean.leader.election.enable"
)

func killLeader(c *Config, all []*failing) error {
	noteAll(all, "kill -9 of the leader")
	for _, f := range all {
		f.dead()
	}
	return c.Nodes.Kill(leader)
}

func those(all []*failing, is func(*failing) bool) []*failing {
	return slices.DeleteFunc(slices.Clone(all), func(f *failing) bool { return !is(f) })
}
