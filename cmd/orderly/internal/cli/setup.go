package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/internal/setup"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newSetup(s Streams) *cobra.Command {
	var deadLetter, parks, dryRun, printACLs bool
	var name, prefix, principal string
	cmd := &cobra.Command{
		Use:   "setup -t TOPIC -g GROUP --dead-letter|--parking [flags]",
		Short: "Make the topics that a consumer needs beside its own",
		Long: `setup makes the dead-letter topic of a topic, with as many partitions and replicas and the same min.insync.replicas, and
room for the headers of dead letters (max.message.bytes 64 KiB above the source's). A topic that is there is left as it
is; when it has too few partitions the command says so and ends with 1. With --parking it makes the group's parking topic,
with larger records still (1 MiB above the source's) and without retention; one with too few partitions gets more.

--print-acls prints the ACLs that the consumer's user needs, as calls of kafka-acls.sh; it makes nothing.`,
		Example: `  orderly setup -t orders -g billing --dead-letter --dry-run
  orderly setup -t orders -g billing --dead-letter
  orderly setup -t orders -g billing --parking
  orderly setup -t orders -g billing --dead-letter --print-acls --principal User:billing`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	f.BoolVar(&deadLetter, "dead-letter", false, "the dead-letter topic")
	f.BoolVar(&parks, "parking", false, "the parking topic")
	f.StringVar(&prefix, "parking-prefix", parking.DefaultPrefix, "what its name begins with")
	f.StringVar(&name, "dead-letter-topic", "", "its name (default: TOPIC-dlt)")
	f.BoolVar(&dryRun, "dry-run", false, "say what would be made, and make nothing")
	f.BoolVar(&printACLs, "print-acls", false, "print the ACLs that the consumer needs, and make nothing")
	f.StringVar(&principal, "principal", "User:orderly", "whose ACLs they are")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		if deadLetter == parks {
			return usagef("%q makes one topic: set --dead-letter or --parking", cmd.CommandPath())
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		if err := need(set, cmd, connect.Topic, connect.Group); err != nil {
			return err
		}
		topic := set.Get(connect.Topic)
		if parks {
			if name, err = parking.TopicName(prefix, set.Get(connect.Group), topic); err != nil {
				return usagef("--parking-prefix: %v", err)
			}
		}
		if name == "" {
			name = topic + "-dlt"
		}
		if name == topic {
			return usagef("--dead-letter-topic is the topic itself")
		}
		if printACLs {
			writeACLs(s.Out, principal, topic, name, set.Get(connect.Group), parks)
			return nil
		}
		cluster, err := set.Open(cmd.Context(), s.Err)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, cluster.Close()) }()
		if parks {
			return makeParking(cmd.Context(), s.Out, cluster, topic, name, dryRun)
		}
		return makeCompanion(cmd.Context(), s.Out, cluster, topic, name, dryRun)
	})
	return cmd
}

// makeCompanion makes the topic, or says what it would make.
func makeCompanion(ctx context.Context, out io.Writer, cluster *connect.Cluster, source, name string, dryRun bool) error {
	const patience = 30 * time.Second
	cl, err := cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	md, err := adm.Metadata(ctx, source, name)
	if err != nil {
		return &connect.UnreachableError{Brokers: cluster.Brokers, Waited: time.Since(began), Err: err}
	}
	from, to := md.Topics[source], md.Topics[name]
	switch {
	case from.Err != nil:
		return &orderly.AccessError{Resource: "topic", Name: source, Operation: "Describe", Err: from.Err}
	case to.Err == nil && len(to.Partitions) < len(from.Partitions):
		return fmt.Errorf("topic %s is there with %s, its source %s has %d: add partitions (the order of keys in it changes), or use another name",
			name, plural.Of(len(to.Partitions), "partition"), source, len(from.Partitions))
	case to.Err == nil:
		fmt.Fprintf(out, "%s is there: %s\n", name, plural.Of(len(to.Partitions), "partition"))
		return nil
	case !errors.Is(to.Err, kerr.UnknownTopicOrPartition):
		return &orderly.AccessError{Resource: "topic", Name: name, Operation: "Describe", Err: to.Err}
	}
	t, err := setup.Companion(ctx, adm, source, name)
	if err != nil {
		return err
	}
	verb := "made"
	if dryRun {
		verb = "would make"
	} else if err := setup.Create(ctx, adm, t); err != nil {
		return &orderly.AccessError{Resource: "topic", Name: name, Operation: "Create", Err: err}
	}
	fmt.Fprintf(out, "%s %s: %s, %s", verb, name, plural.Of(t.Partitions, "partition"), plural.Of(t.Replicas, "replica"))
	for _, k := range slices.Sorted(maps.Keys(t.Configs)) {
		fmt.Fprintf(out, ", %s=%s", k, t.Configs[k])
	}
	fmt.Fprintln(out)
	return nil
}

// makeParking makes the parking topic, or says what it would make.
func makeParking(ctx context.Context, out io.Writer, cluster *connect.Cluster, source, name string, dryRun bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cl, err := cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	p, err := parkinglog.Make(ctx, cl, source, name)
	if err != nil {
		return err
	}
	if !p.Create && !p.Grow {
		fmt.Fprintf(out, "%s is there: %s\n", name, plural.Of(p.Partitions, "partition"))
		return nil
	}
	verb := "made"
	if p.Grow {
		verb = "grew"
	}
	if dryRun {
		verb = "would have " + verb
	} else if err := p.Carry(ctx, cl); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s: %s, %s", verb, name, plural.Of(p.Partitions, "partition"), plural.Of(p.Replicas, "replica"))
	for _, k := range slices.Sorted(maps.Keys(p.Configs)) {
		fmt.Fprintf(out, ", %s=%s", k, p.Configs[k])
	}
	fmt.Fprintln(out)
	return nil
}

// writeACLs prints what a consumer with dead letters, or with parked records, may have
// to be allowed.
func writeACLs(out io.Writer, principal, topic, dlt, group string, parks bool) {
	also := "--operation Write --operation Describe --operation DescribeConfigs"
	if parks { // Delete is for trims: without it the topic only grows
		also = "--operation Read --operation Write --operation Describe --operation DescribeConfigs --operation Delete"
	}
	for _, a := range []struct{ resource, name, operations string }{
		{"--topic", topic, "--operation Read --operation Describe"},
		{"--group", group, "--operation Read --operation Describe"},
		{"--topic", dlt, also},
	} {
		fmt.Fprintf(out, "kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal %q %s %s %q\n", principal, a.operations, a.resource, a.name)
	}
}
