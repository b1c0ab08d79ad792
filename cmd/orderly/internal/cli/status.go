package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/status"
	"github.com/orderly-go/orderly/health"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newStatus(s Streams) *cobra.Command {
	var (
		members         []string
		watch, asJSON   bool
		every, patience time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status -g GROUP [flags]",
		Short: "How far a group is: members, offsets, lag, what is done ahead, blocked, parked and paused",
		Long: `status asks the cluster for the group's members and commits. The commits' metadata says which records are done ahead of
the committed offset, and the fencing token; so UNDONE is the work that is left, where LAG is what other tools show.

Windows, reasons, breakers, blocked keys, what is parked, what is wrong with parking topics, and pauses (who and why) are
known to the members: name those that serve them ("orderly consume --metrics", or health.Handler) with --members. They are
asked without a password, and show keys as they are told to. Without them "orderly keys list --state parked" reads the
parking topic itself.`,
		Example: `  orderly status -g billing
  orderly status -g billing --members 10.0.0.7:9464,10.0.0.8:9464 --watch
  orderly status -g billing --json`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Group)
	f.StringSliceVar(&members, "members", nil, "`addresses` (HOST:PORT,...) of members that serve their state")
	f.BoolVarP(&watch, "watch", "w", false, "print it again and again, until Ctrl-C")
	f.DurationVar(&every, "every", 2*time.Second, "time between two looks of --watch")
	f.DurationVar(&patience, "timeout", 30*time.Second, "how long the cluster may take to answer")
	f.BoolVar(&asJSON, "json", false, "print one JSON object (with --watch: one a line)")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		if err := checkMembers(members); err != nil {
			return err
		}
		if every < 100*time.Millisecond || patience <= 0 {
			return usagef("--every is %s and --timeout %s: they must be at least 100ms, and above zero", every, patience)
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		if err := need(set, cmd, connect.Group); err != nil {
			return err
		}
		cluster, err := set.Open(cmd.Context(), s.Err)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Close()) }()
		cl, err := cluster.Client()
		if err != nil {
			return err
		}
		defer cl.Close()
		adm, group := kadm.NewClient(cl), set.Get(connect.Group)
		for {
			began := time.Now()
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			r, err := status.Look(ctx, adm, group)
			timedOut := ctx.Err() != nil
			if err == nil && len(members) > 0 {
				r.AskMembers(ctx, members)
			}
			cancel()
			if cmd.Context().Err() != nil {
				return watched(watch)
			}
			if err != nil && timedOut {
				err = &connect.UnreachableError{Brokers: cluster.Brokers, Waited: time.Since(began), Err: err}
			}
			if err != nil {
				return err
			}
			if watch && !asJSON {
				fmt.Fprint(s.Out, r.Time.Format(time.TimeOnly), "  ")
			}
			if err := write(s.Out, asJSON, r, r.Write); err != nil || !watch {
				return err
			}
			if !asJSON {
				fmt.Fprintln(s.Out)
			}
			select {
			case <-cmd.Context().Done():
				return nil
			case <-time.After(every):
			}
		}
	})
	return cmd
}

// watched is how an interrupt ends: it is the way to end --watch.
func watched(watch bool) error {
	if watch {
		return nil
	}
	return errInterrupted
}

func newKeys(s Streams) *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Keys that are blocked or parked", Args: knownCommand,
		RunE: run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() })}
	cmd.AddCommand(newKeysList(s), newKeysShow(s), newKeysWord(s, "retry"), newKeysWord(s, "skip"), newKeysWord(s, "park"))
	return cmd
}

// allBlocked is every state of a blocked key.
const allBlocked = "blocked"

func newKeysList(s Streams) *cobra.Command {
	var (
		members             []string
		state, order, topic string
		dsn                 string
		limit               int
		asJSON              bool
	)
	cmd := &cobra.Command{
		Use:   "list {--members HOST:PORT,... | --state parked -t TOPIC -g GROUP} [flags]",
		Short: "List blocked or parked keys with offset, records, cause, attempts and since when",
		Long: `list asks the members that serve their state ("orderly consume --metrics", or health.Handler) for the keys whose oldest
record failed and waits: for its next attempt, a dependency, its dead letter, or somebody (the state says which; they are
explained in docs/operating.md). Only the members know them; --members names all of the group's. Members show keys as hashes
unless they are told otherwise (consume --log-keys plain). The command ends with 4 when a member was not reached: the list is
not complete then. With --json it prints one object: {"version": 1, "blocked": how many there are, "keys": [{"topic",
"partition", "key" or "key_hex", "key_hash", "state", "first_offset", "records", "cause", "attempts", "since", "next"}, ...],
"unreached": [{"address", "error"}, ...]}.

Parked keys stand in the group's parking topic, or in the database of a consumer with effects (--store): --state parked reads
that, and lists the key first that was parked first. With --json it prints one object a line: {"topic", "partition", "key" or
"key_hex", "state", "first_offset", "records", "cause", "attempts", "releases", "since", "next"}.`,
		Example: `  orderly keys list --members 127.0.0.1:9464
  orderly keys list --members 10.0.0.7:9464,10.0.0.8:9464 --sort records --json
  orderly keys list --members 127.0.0.1:9464 --state permanent
  orderly keys list --state parked -t orders -g billing`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringSliceVar(&members, "members", nil, "`addresses` (HOST:PORT,...) of the group's members")
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	prefix := f.String("parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.StringVar(&dsn, "store", "", storeFlag)
	f.StringVar(&state, "state", allBlocked, "which keys: parked, blocked (all that are), or those in one state: "+strings.Join(orderly.BlockedStates(), ", "))
	f.StringVar(&order, "sort", "age", "first is the one with the most of: "+strings.Join(status.Orders[:3], ", ")+"; or by partition")
	f.IntVar(&limit, "limit", health.DefaultKeys, fmt.Sprintf("how many at the most, to %d", health.KeysMost))
	f.BoolVar(&asJSON, "json", false, "print one JSON object; with --state parked one a line")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		topic = set.Get(connect.Topic)
		switch {
		case state == "parked" && slices.Contains(status.Orders, order) && limit > 0:
			return listParked(cmd, s, set, *prefix, dsn, order, limit, asJSON)
		case state != "parked" && len(members) == 0:
			return usagef("%q needs --members HOST:PORT,...: blocked keys are known to the members alone", cmd.CommandPath())
		case state != "parked" && state != allBlocked && !slices.Contains(orderly.BlockedStates(), state):
			return usagef("--state is %q: it must be parked, blocked or one of %s", state, strings.Join(orderly.BlockedStates(), ", "))
		case !slices.Contains(status.Orders, order):
			return usagef("--sort is %q: it must be one of %s", order, strings.Join(status.Orders, ", "))
		case limit < 1 || limit > health.KeysMost:
			return usagef("--limit is %d: it must be from 1 to %d", limit, health.KeysMost)
		}
		if err := checkMembers(members); err != nil {
			return err
		}
		if state == allBlocked {
			state = ""
		}
		k := status.ListKeys(cmd.Context(), members, topic, state, order, limit)
		if cmd.Context().Err() != nil {
			return errInterrupted
		}
		if err := write(s.Out, asJSON, k, k.Write); err != nil {
			return err
		}
		if n := len(k.Unreached); n > 0 {
			return &codeError{code: exitInconclusive, text: fmt.Sprintf("%d of %s not reached: the list is not complete", n, plural.Of(len(members), "member")+plural.Verb(n, " was", " were"))}
		}
		return nil
	})
	return cmd
}

func checkMembers(addrs []string) error {
	if err := status.CheckAddresses(addrs); err != nil {
		return usagef("%s", err)
	}
	return nil
}

func write(w io.Writer, asJSON bool, v any, text func(io.Writer) error) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	return text(w)
}
