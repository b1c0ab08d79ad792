package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/consume"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/spf13/cobra"
)

func newConsume(s Streams) *cobra.Command {
	o := consume.Options{Out: s.Out, Err: s.Err}
	var scope, from, reset, onExhausted, onWriteFailure, logKeys, probe, sequence, onGap string
	cmd := &cobra.Command{
		Use:   "consume -t TOPIC -g GROUP [flags] [-- CMD ARGS...]",
		Short: "Process a topic in order per key: print its records, or pipe them to workers",
		Long: `consume reads a topic as a member of a consumer group. The records of a key come strictly one after the other, in any
number of processes with the same group.

Without CMD each record is printed as a JSON line when its turn comes, and is done when the line is written. Its fields:
topic, partition, offset, timestamp (RFC 3339), key and value (strings; key_base64 and value_base64 when they are not
UTF-8; null when null), headers (a list of {key, value}), attempt, fencing_token.

With CMD that many copies of it run as --concurrency says. Each gets one record at a time, as such a line on standard
input, and answers it with a line on standard output: {"ok":true}, {"error":"why"}, {"permanent":"why"} or
{"unavailable":"why"}. Records of one key are never with two workers. Logs belong on standard error. docs/pipe-protocol.md has
workers in Python, Node, Java and bash.

A record that fails is tried again (--max-attempts, --backoff, --max-backoff) while its key waits and the others go on.
When its attempts are used up, or a worker calls it permanent, --on-exhausted says what happens: stop ends the command
with 1 and names the record; block goes on trying; park sets it aside with the later ones of its key, in order, in a topic
that the command makes, until the key is released ("orderly keys"); dead-letter copies it to --dead-letter-topic ("orderly
setup" makes that) and goes on with its key, and skip goes on without: both leave a hole in the order of the key, which is logged.

When records of many keys begin to fail together, or workers answer {"unavailable":"why"}, a breaker opens: nothing is
attempted, attempts that were spent on the way are given back, and every key keeps its place. --probe is asked whether the
dependency is up again; without one the oldest record of one key after the other is tried. Then a few keys run, then more,
then all. --no-breaker switches that off.

With --sequence the numbers of records are looked at: "headers" are those that orderly's producers write, and a path like
.order.version is a field of values that are JSON. A record whose number is done is skipped as a duplicate; when numbers are
missing, or a writer was replaced and still writes, that is logged, and --on-gap says whether the record behind a gap is
handed over, waits in the parking topic, or ends the command. The numbers are learned anew when a partition comes.

With --until-end it ends when every record that was there at the start is done, or parked, and committed. Ctrl-C, or SIGTERM, lets
what runs finish, commits and ends with 0; a second one ends it at once with 130.`,
		Example: `  orderly consume -t orders -g billing -- python3 worker.py
  orderly consume -t orders -g audit --until-end > orders.jsonl
  orderly consume -t orders -g billing --concurrency 16 --on-exhausted block -- ./worker
  orderly consume -t orders -g billing --probe http://ledger:8080/health -- ./worker
  orderly consume -t orders -g late --from 2026-01-31T00:00:00Z --local ./kafka`,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	f.BoolVar(&o.UntilEnd, "until-end", false, "end when all records that were there at the start are done, or parked")
	f.IntVar(&o.Concurrency, "concurrency", 0, "records (and so workers) at a time (default: 256; with CMD one for each processor)")
	f.DurationVar(&o.SessionTimeout, "session-timeout", 45*time.Second, "after this time without a sign of life another member takes over")
	f.StringVar(&scope, "scope", "key", "what is one sequence: key or partition")
	f.StringVar(&from, "from", "earliest", "where a group begins that has no progress: earliest, latest, or a time like 2026-01-31T00:00:00Z")
	f.StringVar(&reset, "reset", "stop", "when the records to go on from were deleted, or the log was cut: stop, earliest or latest")
	f.StringVar(&onExhausted, "on-exhausted", string(orderly.PolicyStop), "when a record's attempts are used up: stop, block (its key alone waits, it is tried for ever), park (its key waits in the parking topic, in order), dead-letter or skip")
	f.StringVar(&o.DeadLetter.Topic, "dead-letter-topic", "", "where --on-exhausted dead-letter writes (default: TOPIC-dlt)")
	f.StringVar(&onWriteFailure, "on-write-failure", "", "when a dead letter cannot be written, or a record not parked: block (the default) or stop")
	f.IntVar(&o.Retry.MaxAttempts, "max-attempts", 10, "attempts of a record")
	f.DurationVar(&o.Retry.Backoff, "backoff", time.Second, "longest wait before the second attempt; it doubles")
	f.DurationVar(&o.Retry.MaxBackoff, "max-backoff", time.Minute, "longest wait between attempts")
	f.StringVar(&probe, "probe", "", "says whether the dependency of the workers is up: http://... or https://... (an answer 2xx), or tcp:HOST:PORT")
	f.DurationVar(&o.Breaker.ProbeInterval, "probe-interval", 30*time.Second, "longest time between two probes while the breaker is open; a third of it is the shortest")
	f.BoolVar(&o.Breaker.Disabled, "no-breaker", false, "go on attempting records, and spending their attempts, while a dependency is down")
	f.StringVar(&sequence, "sequence", "", "notice duplicates and gaps by numbers: headers, or a field of the value like .order.version")
	f.StringVar(&onGap, "on-gap", "", "with --sequence, when numbers are missing before a record: detect (the default), park or stop; ignore: numbers leave some out, as offsets do")
	f.StringVar(&o.Metrics, "metrics", "", "serve /metrics, /livez, /readyz, /state and /keys at `address`, without authentication; :9464 is 127.0.0.1:9464")
	f.StringVar(&logKeys, "log-keys", "hash", "how keys appear in log lines, /state and /keys: hash, plain or none")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "also log what is normal, as partitions that come and go")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch dash := cmd.ArgsLenAtDash(); {
		case dash < 0 && len(args) > 0, dash > 0:
			return usagef("%q takes no arguments before --, but got %q; a worker's command stands after it: orderly consume -t T -g G -- %s", cmd.CommandPath(), args[0], args[0])
		case dash == 0 && len(args) == 0:
			return usagef("there is no command after --: name the worker, or leave -- out to print the records")
		}
		return nil
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) (err error) {
		o.Command = args
		for _, c := range []struct {
			name string
			bad  bool
			rule string
		}{
			{"concurrency", f.Changed("concurrency") && o.Concurrency < 1, "from 1 up"},
			{"max-attempts", o.Retry.MaxAttempts < 1, "from 1 up"},
			{"backoff", o.Retry.Backoff <= 0, "above zero"},
			{"max-backoff", o.Retry.MaxBackoff < o.Retry.Backoff, "not below --backoff"},
			{"probe-interval", o.Breaker.ProbeInterval < 10*time.Millisecond || o.Breaker.ProbeInterval > time.Hour, "from 10ms to 1h"},
			{"session-timeout", o.SessionTimeout <= 0, "above zero"},
		} {
			if c.bad {
				return usagef("--%s is %s: it must be %s", c.name, f.Lookup(c.name).Value, c.rule)
			}
		}
		if o.Scope, err = parseScope(scope); err != nil {
			return err
		}
		if o.Start, err = parseFrom(from); err != nil {
			return err
		}
		if o.Reset, err = parseReset(reset); err != nil {
			return err
		}
		if o.OnExhausted, err = parsePolicy(onExhausted); err != nil {
			return err
		}
		if o.LogKeys, err = parseLogKeys(logKeys); err != nil {
			return err
		}
		if err = parseProbe(probe, &o.Breaker); err != nil {
			return err
		}
		if o.Sequence, err = parseSequence(sequence, onGap); err != nil {
			return err
		}
		if o.Breaker.Disabled && (probe != "" || f.Changed("probe-interval")) {
			return usagef("--probe and --probe-interval are of no use with --no-breaker: nobody would ask")
		}
		o.OnWriteFailure = orderly.Policy(onWriteFailure)
		if f.Changed("dead-letter-topic") && o.OnExhausted != orderly.PolicyDeadLetter {
			return usagef("--dead-letter-topic is of use only with --on-exhausted dead-letter")
		}
		if f.Changed("on-write-failure") && o.OnExhausted != orderly.PolicyDeadLetter && o.OnExhausted != orderly.PolicyPark {
			return usagef("--on-write-failure is of use only with --on-exhausted dead-letter or park")
		}
		if f.Changed("on-write-failure") && o.OnWriteFailure != orderly.PolicyBlock && o.OnWriteFailure != orderly.PolicyStop {
			return usagef("--on-write-failure is %q: it must be block or stop", onWriteFailure)
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		if err := need(set, cmd, connect.Topic, connect.Group); err != nil {
			return err
		}
		o.Topic, o.Group = set.Get(connect.Topic), set.Get(connect.Group)
		if o.Cluster, err = set.Open(cmd.Context(), s.Err); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Cluster.Close()) }()
		ctx, stop := o.Cluster.While(cmd.Context())
		defer stop()
		res, err := runConsume(ctx, o)
		report(ctx, s, o.UntilEnd, res)
		return connect.Ended(ctx, err)
	})
	return cmd
}

// report says how far it came; on standard error, as records are on the other.
func report(ctx context.Context, s Streams, untilEnd bool, res consume.Result) {
	how := ""
	switch {
	case res.AtEnd:
		how = "; everything up to the end is done"
		if res.Parked > 0 {
			how += " or parked"
		}
	case untilEnd && ctx.Err() != nil:
		how = "; interrupted before the end"
	}
	parked := ""
	if res.Parked > 0 {
		parked = fmt.Sprintf("; %d parked", res.Parked)
	}
	fmt.Fprintf(s.Err, "orderly: %s done, %d of them after retries%s%s\n", plural.Of(res.Done, "record"), res.Retried, parked, how)
}

func parseScope(s string) (orderly.Scope, error) {
	switch s {
	case "key":
		return orderly.ScopeKey, nil
	case "partition":
		return orderly.ScopePartition, nil
	}
	return 0, usagef("--scope is %q: it must be key or partition", s)
}

func parseFrom(s string) (orderly.Start, error) {
	switch s {
	case "earliest":
		return orderly.StartEarliest(), nil
	case "latest":
		return orderly.StartLatest(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return orderly.Start{}, usagef("--from is %q: it must be earliest, latest or a time like 2026-01-31T00:00:00Z", s)
	}
	return orderly.StartAt(at), nil
}

func parseReset(s string) (orderly.Reset, error) {
	switch s {
	case "stop":
		return orderly.ResetStop, nil
	case "earliest":
		return orderly.ResetEarliest, nil
	case "latest":
		return orderly.ResetLatest, nil
	}
	return 0, usagef("--reset is %q: it must be stop, earliest or latest", s)
}

func parsePolicy(s string) (orderly.Policy, error) {
	switch p := orderly.Policy(s); p {
	case orderly.PolicyStop, orderly.PolicyBlock, orderly.PolicyPark, orderly.PolicyDeadLetter, orderly.PolicySkip:
		return p, nil
	}
	return "", usagef("--on-exhausted is %q: it must be stop, block, park, dead-letter or skip", s)
}

// parseProbe reads an address of the form http://HOST:PORT/PATH or tcp:HOST:PORT.
func parseProbe(s string, b *orderly.Breaker) error {
	if s == "" {
		return nil
	}
	if address, ok := strings.CutPrefix(s, "tcp:"); ok {
		if host, port, err := net.SplitHostPort(address); err == nil && host != "" && port != "" {
			b.ProbeTCP = address
			return nil
		}
	} else if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		b.ProbeURL = s
		return nil
	}
	return usagef("--probe is %q: it must be an address like http://host:port/health or tcp:host:port", s)
}

func parseSequence(from, onGap string) (g orderly.SequenceGuard, err error) {
	switch {
	case from == "" && onGap != "":
		return g, usagef("--on-gap is of use only with --sequence")
	case from == "headers":
		g.Headers = true
	case from != "":
		if _, err := fieldpath.Parse(from); err != nil {
			return g, usagef("--sequence is neither headers nor a path: %v", err)
		}
		g.Field = from
	}
	switch g.OnGap = orderly.GapPolicy(onGap); g.OnGap {
	case "", orderly.GapDetect, orderly.GapPark, orderly.GapStop, orderly.GapIgnore:
		return g, nil
	}
	return g, usagef("--on-gap is %q: it must be detect, park, stop or ignore", onGap)
}

func parseLogKeys(s string) (orderly.KeyDisplay, error) {
	switch s {
	case "hash":
		return orderly.KeysHash, nil
	case "plain":
		return orderly.KeysPlain, nil
	case "none":
		return orderly.KeysNone, nil
	}
	return 0, usagef("--log-keys is %q: it must be hash, plain or none", s)
}
