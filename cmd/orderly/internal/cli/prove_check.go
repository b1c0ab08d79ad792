package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/spf13/cobra"
)

// checkOptions are what "orderly prove check" was asked.
type checkOptions struct {
	version   string
	in        io.Reader
	control   string
	html      string
	scope     string
	accept    []string
	minFaults int
	asJSON    bool
	compacted bool
	noTokens  bool
	embedded  bool
}

func newProveCheck(version string, s Streams) *cobra.Command {
	o := checkOptions{version: version, in: s.In}
	cmd := &cobra.Command{
		Use:   "check FILE|-",
		Short: "Judge a history: what was sent, what the log holds, what was processed",
		Long: `check reads a history and says whether order held in it. A history is a file of JSON lines, written by orderly or by any
other program: docs/history.md has its events. FILE "-" is standard input.

It looks for: ` + classNames() + `.
A gap in the offsets alone is no finding: transactions and compaction make them.

The verdict is VIOLATED, with the smallest example of each kind, its rule and the setting to change; HELD; or INCONCLUSIVE,
with the reasons: nothing to check, acknowledged records that nobody read, too few faults. With --control, the history of a
setup that must break under the same faults, HELD also needs that it did: where nothing breaks, holding shows nothing.
Without a control HELD is about these records only.

It exits with 0 when order held, 3 when it was violated, 4 when nothing was shown, 2 when the file cannot be read: a damaged line
is named by its number.

With --json the result is one JSON object: format (1), version, verdict (held, violated, inconclusive), reason, reasons, findings
and accepted (each with class, title, explain, side, count, first, rule, setting, also, example), subject and control (name, events,
records, keys, partitions, sends, acked, failed, unclear, reads, polls, finished, repeats_allowed, unseen, unfinished,
not_compared, violations, counts, faults), limits.`,
		Example: `  orderly prove check history.jsonl
  orderly prove check --control old-client.jsonl --html report.html new-client.jsonl
  zcat history.jsonl.gz | orderly prove check --json -`,
		Args: oneFile,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			v, err := o.judge(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if o.html != "" {
				if err := writeHTML(o.html, v); err != nil {
					return err
				}
			}
			if o.asJSON {
				err = printJSON(s.Out, v)
			} else {
				err = v.Write(s.Out)
			}
			if err != nil {
				return err
			}
			return proveOutcome(v)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.control, "control", "", "the history of a setup that must break under the same faults (`file`)")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object instead of the text")
	f.StringVar(&o.html, "html", "", "write the verdict with a picture as one HTML page to this `file`, too")
	f.StringSliceVar(&o.accept, "accept", nil, "`classes` that are no violation of the subject: counted and told only (for example duplicate-write)")
	f.IntVar(&o.minFaults, "min-faults", 0, "faults that must have hit (default: 0, with --control 1)")
	f.StringVar(&o.scope, "scope", "key", "what handlers (start, end) take in sequence: key or partition")
	f.BoolVar(&o.compacted, "compacted", false, "the topic is compacted: only the newest record of a key must be in the log")
	f.BoolVar(&o.noTokens, "no-tokens", false, "the members have no fencing tokens: do not ask for them")
	f.BoolVar(&o.embedded, "embedded", false, "the broker was orderly's embedded one: say what it cannot show")
	return cmd
}

// oneFile wants the history's file, and says how to name it.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%q takes one history, or - for standard input; got %d arguments", cmd.CommandPath(), len(args))
	}
	return nil
}

// classNames lists what the checker looks for.
func classNames() string {
	var names []string
	for _, c := range history.Classes() {
		if !c.Weak() {
			names = append(names, string(c))
		}
	}
	return strings.Join(names, ", ")
}

func (o *checkOptions) judge(ctx context.Context, file string) (*judge.Verdict, error) {
	opt := history.Options{Complete: true, Compacted: o.compacted, NoTokens: o.noTokens}
	switch o.scope {
	case "key":
	case "partition":
		opt.Scope = history.ScopePartition
	default:
		return nil, usagef("--scope is %q: it must be key or partition", o.scope)
	}
	if o.minFaults < 0 {
		return nil, usagef("--min-faults is %d: it must be from 0 up", o.minFaults)
	}
	if file == "-" && o.control == "-" {
		return nil, usagef("both the history and --control are standard input; name one of them as a file")
	}
	in := judge.Input{Version: o.version, MinFaults: o.minFaults}
	for _, name := range o.accept {
		c := history.Class(name)
		if !slices.Contains(history.Classes(), c) || c.Weak() {
			return nil, usagef("--accept %q is no class of violations; they are: %s", name, classNames())
		}
		in.Accept = append(in.Accept, c)
	}
	if o.embedded {
		in.Limits = append(in.Limits, judge.EmbeddedLimit)
	}
	var err error
	if in.Subject, err = o.check(ctx, file, opt); err != nil {
		return nil, err
	}
	if o.control != "" {
		control, err := o.check(ctx, o.control, opt)
		if err != nil {
			return nil, err
		}
		in.Control = &control
	}
	v := judge.Judge(in)
	return &v, nil
}

// check checks one file. Standard input is kept in a file of its own, because
// examples are picked in a second reading.
func (o *checkOptions) check(ctx context.Context, file string, opt history.Options) (r judge.Run, err error) {
	name := file
	open := func() (io.ReadCloser, error) { return os.Open(file) }
	if file == "-" {
		name = "standard input"
		f, tempErr := os.CreateTemp("", "orderly-history-*")
		if tempErr != nil {
			return r, fmt.Errorf("standard input cannot be kept for a second reading: %w", tempErr)
		}
		defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
		first := true
		open = func() (io.ReadCloser, error) {
			if first {
				first = false
				return io.NopCloser(io.TeeReader(o.in, f)), nil
			}
			_, err := f.Seek(0, io.SeekStart)
			return io.NopCloser(f), err
		}
	}
	r, err = judge.Check(ctx, name, open, opt)
	var format *history.FormatError
	var path *os.PathError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return r, errInterrupted
	case errors.As(err, &format):
		return r, usagef("%s line %d: rule %s: %s", name, format.Line, format.Rule, format.Text)
	case errors.As(err, &path):
		return r, usagef("history %s: cannot be read: %v", name, path.Err)
	}
	return r, err
}

func writeHTML(path string, v *judge.Verdict) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	if err := errors.Join(v.WriteHTML(f), f.Close()); err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	return nil
}

// proveOutcome gives the exit code of a verdict.
func proveOutcome(v *judge.Verdict) error {
	switch v.Verdict {
	case judge.Violated:
		return &codeError{code: exitViolated, text: "violated: " + v.Reason}
	case judge.Inconclusive:
		return &codeError{code: exitInconclusive, text: "inconclusive: " + v.Reason}
	}
	return nil
}
