package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// proveOptions are what an experiment was asked.
type proveOptions struct {
	c         prove.Config
	schedule  proxyOptions // its faults and files
	conn      *connect.Flags
	subject   string
	client    prove.Client
	accept    []string
	duration  time.Duration
	asJSON    bool
	html      string
	ofSubject []string // flags that only a franz-go subject has
}

// proveFlags are those of all workloads.
const proveHelp = `
The control always runs: a franz-go client without idempotence, with 5 requests in flight, and a worker pool with auto-commit
where records are processed. It has to break under the same faults at the same records; else the verdict is INCONCLUSIVE,
for where nothing breaks, holding shows nothing.

Without --brokers (or --local, --config, ORDERLY_BROKERS) the cluster is three nodes inside this process, in memory. On a real
one, topics and groups are made whose names begin with ` + prove.Prefix + `, and removed at the end (--keep leaves them); no other is
touched.

Ctrl-C ends the experiment early, with the verdict on what was done. Exit codes: 0 HELD, 3 VIOLATED, 4 INCONCLUSIVE.`

func (o *proveOptions) add(f *pflag.FlagSet, w prove.Workload) {
	o.conn = connect.AddFlags(f)
	f.StringVar(&o.subject, "subject", "orderly", "who is tried: orderly or franz-go")
	if w != prove.Consumer {
		f.StringVar(&o.client.Acks, "acks", "all", "franz-go subject: all, 1 or 0")
		f.BoolVar(&o.client.Idempotent, "idempotent", true, "franz-go subject: idempotent")
		f.IntVar(&o.client.InFlight, "in-flight", 5, "franz-go subject: requests in flight")
		o.ofSubject = append(o.ofSubject, "acks", "idempotent", "in-flight")
	}
	if w == prove.Consumer || w == prove.EndToEnd {
		f.IntVar(&o.client.Workers, "workers", 1, "franz-go subject: records that are processed at a time, without looking at keys")
		f.BoolVar(&o.client.AutoCommit, "auto-commit", false, "franz-go subject: commit what was polled, by time")
		o.ofSubject = append(o.ofSubject, "workers", "auto-commit")
	}
	f.IntVar(&o.c.Keys, "keys", 20, "number of keys")
	f.IntVar(&o.c.Records, "records", 200, "records of each key")
	f.IntVar(&o.c.Partitions, "partitions", 4, "partitions of the topics")
	f.StringArrayVar(&o.schedule.faults, "fault", nil, "`KIND:SETTINGS` instead of the default faults, as of orderly prove proxy; may be repeated")
	f.StringVar(&o.schedule.schedule, "schedule", "", "`file` of --record: strike the same records once more")
	f.StringVar(&o.schedule.record, "record", "", "write each fault that struck the subject to this `file`")
	f.Uint64Var(&o.c.Seed, "seed", 0, "decides which records are struck (default: another one each time)")
	f.Int64Var(&o.c.From, "from", prove.DefaultFrom, "number of its key from which on a record can be struck")
	f.IntVar(&o.c.MinFaults, "min-faults", 5, "faults that must have struck each side")
	f.StringSliceVar(&o.accept, "accept", nil, "`classes` that are no violation: counted and told only (for example duplicate-write)")
	f.DurationVar(&o.c.Limit, "limit", time.Minute, "how long a program may run (a consumer: say nothing), and a record may take")
	f.DurationVar(&o.duration, "duration", 0, "repeat the experiment for so long, with other seeds and new topics, in the memory of one")
	f.BoolVar(&o.c.Keep, "keep", false, "leave the topics and groups")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object instead of the text")
	f.StringVar(&o.html, "html", "", "write the verdict with a picture as one HTML page to this `file`, too")
}

func newProveWorkload(version string, s Streams, w prove.Workload, short, long, example string) *cobra.Command {
	o := proveOptions{c: prove.Config{Version: version, Workload: w}}
	cmd := &cobra.Command{Use: string(w), Short: short, Long: long + "\n" + proveHelp, Example: example, Args: noArgs}
	o.add(cmd.Flags(), w)
	if w == prove.Producer || w == prove.Consumer {
		cmd.Use += " [-- CMD ARGS]"
		cmd.Flags().StringVar(&o.c.Seq, "seq", ".n", "`where` the number is in records of a program: a field of the JSON value (.n), the value (.), or a header (header:n)")
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n > 0 || n < 0 && len(args) > 0 {
				return usagef("%q takes a program behind --, but got %q", cmd.CommandPath(), args[0])
			}
			return nil
		}
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error { return o.run(cmd, args, s) })
	return cmd
}

func (o *proveOptions) run(cmd *cobra.Command, program []string, s Streams) (err error) {
	if err := o.who(cmd, program); err != nil {
		return err
	}
	c := &o.c
	if !cmd.Flags().Changed("seed") {
		c.Seed = rand.Uint64N(1_000_000)
	}
	for _, name := range o.accept {
		class := history.Class(name)
		if !slices.Contains(history.Classes(), class) || class.Weak() {
			return usagef("--accept %q is no class of violations; they are: %s", name, classNames())
		}
		c.Accept = append(c.Accept, class)
	}
	if c.Faults, err = o.schedule.chosen(); err != nil {
		return proxyWords(err)
	}
	record, err := o.schedule.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	c.Hits = record
	end, err := o.connect(cmd.Context(), s.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	c.Progress = func(p prove.Progress) {
		fmt.Fprintf(s.Err, "prove: %s written, %d processed, %s\n", plural.Of(p.Written, "record"), p.Processed, plural.Of(p.Faults, "fault"))
	}
	// Ctrl-C ends the work, and not the judging of it.
	res, err := prove.Soak(context.WithoutCancel(cmd.Context()), *c, o.duration, cmd.Context().Done())
	if err != nil {
		return proveWords(err)
	}
	return o.tell(res, s.Out, again(cmd, c.Seed, program))
}

// who says who the subject is.
func (o *proveOptions) who(cmd *cobra.Command, program []string) error {
	o.c.Control = prove.Subject{Kind: prove.FranzGo, Client: prove.Weak}
	o.c.Subject = prove.Subject{Kind: prove.Kind(o.subject), Client: o.client, Command: program}
	var own []string
	for _, name := range o.ofSubject {
		if cmd.Flags().Changed(name) {
			own = append(own, "--"+name)
		}
	}
	switch {
	case len(program) > 0:
		if cmd.Flags().Changed("subject") || len(own) > 0 {
			return usagef("the program behind -- is the subject: leave out --subject and %s, which are for others", strings.Join(o.ofSubject, ", "))
		}
		o.c.Subject.Kind = prove.Program
	case len(own) > 0 && !cmd.Flags().Changed("subject"):
		o.c.Subject.Kind = prove.FranzGo
	case len(own) > 0 && o.c.Subject.Kind == prove.Orderly:
		return usagef("%s: orderly has no such settings, for it has no weaker ones; set --subject franz-go, or leave them out", strings.Join(own, ", "))
	}
	return nil
}

// connect says which cluster it is; end gives it back.
func (o *proveOptions) connect(ctx context.Context, notes io.Writer) (end func() error, err error) {
	end = func() error { return nil }
	set, err := resolve(o.conn, notes)
	if err != nil || !set.Given() {
		return end, err
	}
	if o.c.TLS, o.c.Opts, err = set.Proxied(); err != nil {
		return end, err
	}
	cluster, err := set.Open(ctx, notes)
	if err != nil {
		return end, err
	}
	o.c.Brokers = cluster.Brokers
	return cluster.Close, nil
}

// proveWords gives the experiment's errors their exit codes.
func proveWords(err error) error {
	if is[*prove.ConfigError](err) {
		return &codeError{exitUsage, err.Error()}
	}
	if is[*prove.ClusterError](err) {
		return &codeError{exitRefused, err.Error()}
	}
	return proxyWords(err)
}

func (o *proveOptions) tell(res *prove.Result, out io.Writer, again string) error {
	if o.html != "" {
		if err := writeHTML(o.html, &res.Verdict); err != nil {
			return err
		}
	}
	var err error
	if o.asJSON {
		err = printJSON(out, struct {
			judge.Verdict
			Experiment prove.Summary `json:"experiment"`
		}{res.Verdict, res.Summary(&o.c)})
	} else {
		err = res.Write(out, &o.c, again)
	}
	if err != nil {
		return err
	}
	return proveOutcome(&res.Verdict)
}

// again is the command line that does the same once more.
func again(cmd *cobra.Command, seed uint64, program []string) string {
	words := []string{cmd.CommandPath(), fmt.Sprintf("--seed %d", seed)}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"seed", "json", "html", "record", "keep", "duration"}, f.Name) {
			return
		}
		values := []string{f.Value.String()}
		if v, ok := f.Value.(pflag.SliceValue); ok {
			values = v.GetSlice()
		}
		for _, v := range values {
			words = append(words, "--"+f.Name+"="+quoted(v))
		}
	})
	if len(program) > 0 {
		words = append(words, "--")
		for _, w := range program {
			words = append(words, quoted(w))
		}
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
