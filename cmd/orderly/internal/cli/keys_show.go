package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/spf13/cobra"
)

// shownRecord is a parked record as it is printed.
type shownRecord struct {
	Offset    int64             `json:"offset"`
	Timestamp time.Time         `json:"timestamp"`
	Bytes     int               `json:"bytes"`
	Cause     string            `json:"cause,omitempty"`
	Attempts  int               `json:"attempts"`
	Releases  int               `json:"releases"`
	First     *time.Time        `json:"first_failure,omitempty"`
	Last      *time.Time        `json:"last_failure,omitempty"`
	Value     *string           `json:"value,omitempty"`
	Binary    []byte            `json:"value_base64,omitempty"` // where it is no text
	Headers   map[string]string `json:"headers,omitempty"`
}

func shown(r orderly.ParkedRecord, values bool) shownRecord {
	out := shownRecord{Offset: r.Record.Offset, Timestamp: r.Record.Timestamp, Bytes: len(r.Record.Value), Cause: r.Cause, Attempts: r.Attempts, Releases: r.Releases}
	for _, t := range []struct {
		at time.Time
		to **time.Time
	}{{r.First, &out.First}, {r.Last, &out.Last}} {
		if !t.at.IsZero() {
			*t.to = &t.at
		}
	}
	if !values {
		return out
	}
	if text := string(r.Record.Value); utf8.ValidString(text) && r.Record.Value != nil {
		out.Value = &text
	} else {
		out.Binary = r.Record.Value
	}
	for _, h := range r.Record.Headers {
		if out.Headers == nil {
			out.Headers = make(map[string]string)
		}
		out.Headers[h.Key] = string(h.Value)
	}
	return out
}

func newKeysShow(s Streams) *cobra.Command {
	var (
		partition      int32
		prefix, dsn    string
		limit          int
		values, asJSON bool
	)
	cmd := &cobra.Command{
		Use: "show -t TOPIC -g GROUP --partition N --key KEY [flags]", Short: "Show the parked records of a key, and the commands about it",
		Long: `show reads the group's parking topic, and the database of a consumer with effects (--store): the parked records of one key,
the oldest first, with why and how often each failed, and the commands that operators gave about the key, with their answers.
Values and headers are often personal data: they are shown with --show-values alone.

With --json it prints one object a line: {"record": {"offset", "timestamp", "bytes", "cause", "attempts", "releases",
"first_failure", "last_failure", "value" or "value_base64", "headers"}}, then {"command": {"id", "verb", "offset", "who",
"when", "reason", "state", "result", "at"}}.`,
		Example: "  orderly keys show -t orders -g billing --partition 3 --key c-17\n  orderly keys show -t orders -g billing --partition 3 --key c-17 --show-values --json",
		Args:    noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	key := addKeyFlags(f)
	f.Int32Var(&partition, "partition", -1, "of the topic")
	f.StringVar(&prefix, "parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.StringVar(&dsn, "store", "", storeFlag)
	f.IntVar(&limit, "limit", 20, "how many records at the most")
	f.BoolVar(&values, "show-values", false, "show values and headers, too")
	f.BoolVar(&asJSON, "json", false, "print one JSON object a line")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		switch {
		case partition < 0:
			return usagef("%q needs --partition", cmd.CommandPath())
		case key.named() != 1:
			return usagef("%q needs one of --key, --key-hex and --no-key", cmd.CommandPath())
		case limit < 1:
			return usagef("--limit is %d: it must be at least 1", limit)
		}
		k, err := key.get()
		if err != nil {
			return err
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		return withParked(cmd, s, set, prefix, dsn, func(a *orderly.Admin) error {
			topic := set.Get(connect.Topic)
			recs, err := a.ParkedRecords(cmd.Context(), topic, partition, k, limit)
			if err != nil {
				return err
			}
			all, err := a.Commands(cmd.Context(), topic)
			if err != nil {
				return err
			}
			var about []orderly.CommandRecord
			for _, c := range all {
				if c.Partition == partition && (c.Whole || string(c.Key) == string(k) && (c.Key == nil) == (k == nil)) {
					about = append(about, c)
				}
			}
			if asJSON {
				return showJSON(s, recs, about, values)
			}
			return showText(s, recs, about, values)
		})
	})
	return cmd
}

func showJSON(s Streams, recs []orderly.ParkedRecord, about []orderly.CommandRecord, values bool) error {
	out := json.NewEncoder(s.Out)
	for _, r := range recs {
		if err := out.Encode(map[string]any{"record": shown(r, values)}); err != nil {
			return err
		}
	}
	for _, c := range about {
		m := map[string]any{"id": c.ID, "verb": c.Verb, "offset": c.Offset, "who": c.Who, "when": c.When, "reason": c.Reason, "state": c.State, "result": c.Result}
		if !c.At.IsZero() {
			m["at"] = c.At
		}
		if err := out.Encode(map[string]any{"command": m}); err != nil {
			return err
		}
	}
	return nil
}

func showText(s Streams, recs []orderly.ParkedRecord, about []orderly.CommandRecord, values bool) error {
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	head := "OFFSET\tTIMESTAMP\tBYTES\tATTEMPTS\tRELEASES\tCAUSE"
	if values {
		head += "\tHEADERS\tVALUE"
	}
	fmt.Fprintln(w, head)
	for _, r := range recs {
		p := shown(r, values)
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%q", p.Offset, p.Timestamp.Format(time.DateTime), p.Bytes, p.Attempts, p.Releases, p.Cause)
		if values {
			fmt.Fprintf(w, "\t%q\t%q", p.Headers, r.Record.Value)
		}
		fmt.Fprintln(w)
	}
	if len(about) > 0 {
		fmt.Fprintln(w, "\nCOMMAND\tOFFSET\tWHO\tWHEN\tREASON\tSTATE\tRESULT")
	}
	for _, c := range about {
		verb := c.Verb
		if c.Whole {
			verb += " (partition)"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%q\t%s\t%s\n", verb, c.Offset, c.Who, c.When.Format(time.DateTime), c.Reason, c.State, c.Result)
	}
	return w.Flush()
}
