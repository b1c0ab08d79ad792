package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
	"github.com/spf13/cobra"
)

func newProveScenario(version string, s Streams) *cobra.Command {
	o := proveOptions{c: prove.Config{Version: version}}
	var list bool
	var kafkaHome string
	cmd := &cobra.Command{
		Use:   "scenario NAME",
		Short: "Try what articles say about order",
		Long: `scenario runs one of the cases that articles tell about: some configurations of clients, with the same faults at the same
records, side by side. docs/prove.md has what came out, and what it means.

Scenarios that kill brokers (leader-failover, unclean-election) start three of their own, and need Java 17 or newer and a download
of Apache Kafka: --kafka-home DIR. Nobody's brokers are killed. Those that kill or freeze a consumer start it as a process.

Exit codes: 0 it came out as the scenario says, 4 it did not. With --json: one object with format (1), version, name, claim,
shows, shown, seed, brokers, seconds, cases (each with name, who, records, faults, counts, late_answers, facts, verdict, reason,
findings, unlike).`,
		Example: `  orderly prove scenario --list
  orderly prove scenario retry-reorder
  orderly prove scenario in-flight-1 --brokers localhost:9092
  orderly prove scenario leader-failover --kafka-home kafka_2.13-4.3.1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if want := 1; list && len(args) > 0 || !list && len(args) != want {
				return usagef("%q takes the name of one scenario, or --list", cmd.CommandPath())
			}
			return nil
		},
	}
	f := cmd.Flags()
	o.conn = connect.AddFlags(f)
	f.StringVar(&kafkaHome, "kafka-home", "", "directory of an unpacked download of Apache Kafka, for the scenarios that kill brokers: three are started from it")
	f.BoolVar(&list, "list", false, "list the scenarios")
	f.Uint64Var(&o.c.Seed, "seed", 0, "decides which records are struck (default: another one each time)")
	f.DurationVar(&o.c.Limit, "limit", time.Minute, "how long a record may take")
	f.BoolVar(&o.c.Keep, "keep", false, "leave the topics and groups")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object instead of the text")
	cmd.RunE = run(func(cmd *cobra.Command, args []string) (err error) {
		if list {
			return listScenarios(s, o.asJSON)
		}
		sc := prove.FindScenario(args[0])
		if sc == nil {
			return usagef("there is no scenario %q; there are %s", args[0], strings.Join(scenarioNames(), ", "))
		}
		if !f.Changed("seed") {
			o.c.Seed = rand.Uint64N(1_000_000)
		}
		if o.c.Command, err = myself(); err != nil {
			return err
		}
		end, err := o.connect(cmd.Context(), s.Err)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, end()) }()
		closeNodes, err := o.nodes(cmd.Context(), sc, kafkaHome)
		if err != nil {
			return proveWords(err)
		}
		defer func() { err = errors.Join(err, closeNodes()) }()
		res, err := sc.Run(cmd.Context(), o.c)
		switch {
		case err != nil && context.Cause(cmd.Context()) != nil:
			return errInterrupted
		case err != nil:
			return proveWords(err)
		case o.asJSON:
			err = printJSON(s.Out, res)
		default:
			err = res.Write(s.Out)
		}
		if err == nil && !res.Shown {
			err = &codeError{exitInconclusive, "scenario " + sc.Name + ": it did not come out as it says"}
		}
		return err
	})
	return cmd
}

// nodes starts the brokers of a scenario that kills some, and gives what closes them.
func (o *proveOptions) nodes(ctx context.Context, sc *prove.Scenario, home string) (end func() error, err error) {
	end = func() error { return nil }
	switch {
	case home == "" || len(o.c.Brokers) > 0: // the scenario itself says what it needs
		return end, nil
	case !sc.Kills():
		return end, usagef("--kafka-home is for the scenarios that kill brokers, and %s is none of them", sc.Name)
	}
	nodes, err := prove.StartNodes(ctx, home)
	if err != nil {
		return end, err
	}
	o.c.Nodes = nodes
	return nodes.Close, nil
}

func scenarioNames() (names []string) {
	for _, sc := range prove.Scenarios {
		names = append(names, sc.Name)
	}
	return names
}

func listScenarios(s Streams, asJSON bool) error {
	if asJSON {
		type item struct {
			Name  string `json:"name"`
			Title string `json:"title"`
			Claim string `json:"claim"`
		}
		items := []item{}
		for _, sc := range prove.Scenarios {
			items = append(items, item{sc.Name, sc.Title, sc.Claim})
		}
		return printJSON(s.Out, struct {
			Scenarios []item `json:"scenarios"`
		}{items})
	}
	tw := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, sc := range prove.Scenarios {
		fmt.Fprintf(tw, "%s\t%s\n", sc.Name, sc.Title)
	}
	return tw.Flush()
}

// myself is the command that starts this program once more.
func myself() ([]string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, which scenarios start again: %w", err)
	}
	return []string{exe}, nil
}

// newProveMember is how scenarios start members that are processes. It is not for
// people.
func newProveMember(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:                prove.MemberCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: run(func(_ *cobra.Command, args []string) error {
			signal.Ignore(os.Interrupt) // the scenario decides when this one stops
			return proveWords(prove.RunMember(args, s.In, s.Out))
		}),
	}
}
