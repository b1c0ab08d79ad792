package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/explain"
	"github.com/spf13/cobra"
)

// explainFlags are what `orderly explain` is asked.
type explainFlags struct {
	file, client, failOn string
	follow, asJSON       bool
}

func newExplain(s Streams) *cobra.Command {
	var o explainFlags
	cmd := &cobra.Command{
		Use:   "explain [ERROR|CODE|NAME|-] [flags]",
		Short: "Say what an error or a log of a Kafka client or broker means for the order of records",
		Long: `explain reads an error, an error code, a name, or a log, and says what happened, whether the data is still right, how to
tell, and what to do. It connects to nothing and sends nothing anywhere.

It knows the words of the Java client (also inside Spring, Connect and Streams), librdkafka and what is built on it, Sarama,
franz-go, brokers and controllers, and orderly itself; as they are, with a stack trace, wrapped in JSON, or behind what a
collector of logs puts before a line. A log becomes a timeline: what began when, for which producer, partition or member, how
often, and what led to what. Of an out-of-order sequence it reads the two numbers: a batch is missing, or an old one came twice.

Passwords, tokens and JAAS values are masked in the lines that it shows. It keeps a bounded part of any log in memory.

With --follow a file is read as it grows; Ctrl-C ends it with the summary. --fail-on error (or warn) makes it end with 3 when
something of that severity was found: error breaks the order, or loses or repeats records; warn may; note does not.

With --json the result is one JSON object: format (1), input, lines, recognised, cut_lines, first, last, worst, findings,
not_kept, explanations; docs/explain.md describes it.`,
		Example: `  orderly explain 45
  orderly explain OutOfOrderSequenceException
  orderly explain "Out of order sequence number for producer 4003 at offset 9 in partition a-3: 57 (incoming seq. number), 12 (current end sequence number)"
  orderly explain -f app.log
  kubectl logs deploy/billing | orderly explain -
  orderly explain -f /var/log/kafka/server.log --follow`,
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "", "read this `log`; - is standard input")
	f.BoolVar(&o.follow, "follow", false, "go on reading as the log grows, and name each finding at once")
	f.StringVar(&o.client, "client", "", "whose words they are: java, librdkafka, sarama, franz-go or broker (default: by their looks)")
	f.StringVar(&o.failOn, "fail-on", "", "end with 3 when something of this severity was found: error or warn")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		client, err := explain.ParseClient(o.client)
		if err != nil {
			return usagef("--client: %v", err)
		}
		if o.failOn != "" && o.failOn != string(explain.Breaks) && o.failOn != string(explain.May) {
			return usagef("--fail-on is %q: it must be error or warn", o.failOn)
		}
		if o.file == "" && len(args) == 1 && args[0] == "-" {
			o.file, args = "-", nil
		}
		switch {
		case o.file != "" && len(args) > 0:
			return usagef("%q explains a log (-f) or an error, not both", cmd.CommandPath())
		case o.file == "" && len(args) == 0:
			return usagef("%q needs something to explain: an error, its code or name; -f LOG; or - for standard input", cmd.CommandPath())
		case o.file == "" && o.follow:
			return usagef("--follow goes with a log: set -f")
		}
		var r *explain.Report
		if o.file == "" {
			r, err = explain.Explain(strings.Join(args, " "), client)
		} else {
			r, err = o.scan(cmd.Context(), s, client)
		}
		if err != nil {
			return err
		}
		if o.asJSON {
			err = printJSON(s.Out, r)
		} else {
			err = r.Write(s.Out, explain.Options{Has: func(name string) bool { return hasCommand(cmd.Root(), name) }})
		}
		if err != nil {
			return err
		}
		return o.outcome(cmd.Context(), r)
	})
	return cmd
}

// scan reads a log, or standard input.
func (o *explainFlags) scan(ctx context.Context, s Streams, client explain.Client) (*explain.Report, error) {
	sc := explain.NewScanner()
	sc.Client = client
	if o.follow {
		sc.Seen = func(f *explain.Finding) {
			if text := explain.Seen(f); text != "" {
				fmt.Fprintln(s.Err, text)
			}
		}
	}
	name, cut, err := o.file, int64(0), error(nil)
	switch {
	case o.file == "-":
		name = "standard input"
		cut, err = sc.Read(ctx, name, until(ctx, s.In))
	case o.follow:
		every := time.NewTicker(500 * time.Millisecond)
		defer every.Stop()
		cut, err = sc.Follow(ctx, o.file, every.C)
	default:
		var f *os.File
		if f, err = openLog(o.file); err == nil {
			cut, err = sc.Read(ctx, name, f)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		if is[*explain.InputError](err) {
			return nil, err
		}
		return nil, &explain.InputError{Name: name, Problem: fmt.Sprintf("cannot be read: %v", err)}
	}
	r := sc.Report(name)
	r.Cut = cut
	return r, nil
}

func openLog(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, errors.Join(errors.New("it is a folder: name one log"), f.Close())
	}
	return f, nil
}

// outcome is the exit of a run. Ctrl-C is the way to end --follow.
func (o *explainFlags) outcome(ctx context.Context, r *explain.Report) error {
	worst := r.Worst()
	if len(r.Findings) > 0 && o.failOn != "" && (worst == explain.Breaks || o.failOn == string(explain.May) && worst == explain.May) {
		return &codeError{code: exitViolated, text: fmt.Sprintf("explain: found what --fail-on %s asks for", o.failOn)}
	}
	if ctx.Err() != nil && !o.follow {
		return errInterrupted
	}
	return nil
}

// until is a reader that ends when ctx does, also while nothing comes: what is read
// is only given on while it goes on.
func until(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { pw.Close() })
	return pr
}

// hasCommand says whether the command line has a command of this name.
func hasCommand(root *cobra.Command, name string) bool {
	for _, c := range root.Commands() {
		if c.Name() == name && !c.Hidden {
			return true
		}
	}
	return false
}
