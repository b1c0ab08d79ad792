package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/migrate"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/store"
	"github.com/spf13/cobra"
)

func newOffsets(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offsets",
		Short: "How far a group is, in Kafka, in its database and in what is parked; and moving it on purpose",
		Args:  knownCommand,
		RunE:  run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(newOffsetsShow(s), newOffsetsReset(s))
	return cmd
}

// withStore calls f with the database of a consumer with effects; nil when none is named.
func withStore(ctx context.Context, dsn string, f func(db store.Backend) error) error {
	if dsn == "" {
		return f(nil)
	}
	db, end, err := migrate.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer end()
	err = f(db)
	if err != nil && db.Classify(err) == store.Down {
		err = &migrate.UnreachableError{Err: err}
	}
	return err
}

const storeFlag = "the database of a consumer with effects, as store migrate takes it (default: ORDERLY_STORE_DSN, else none)"

// shownOffsets is a partition as it is printed.
type shownOffsets struct {
	Topic         string        `json:"topic"`
	Partition     int32         `json:"partition"`
	Start         int64         `json:"start"`
	End           int64         `json:"end"`
	Committed     int64         `json:"committed"` // -1: nothing
	Metadata      string        `json:"metadata"`
	FencingToken  int64         `json:"fencing_token"`
	Watermark     int64         `json:"watermark"`
	DoneAhead     int64         `json:"done_ahead"`
	Attempts      int           `json:"attempts"`
	ParkedKeys    int           `json:"parked_keys"`
	ParkedRecords int           `json:"parked_records"`
	Reset         int64         `json:"unfinished_reset"` // -1: none
	Store         []shownStored `json:"store"`
}

// shownReset is what a reset does to a partition, as it is printed. What it has in
// common with shownOffsets has the same names.
type shownReset struct {
	Topic         string        `json:"topic"`
	Partition     int32         `json:"partition"`
	From          int64         `json:"from"` // -1: nothing was committed
	To            int64         `json:"to"`
	Store         []shownStored `json:"store"`
	ParkedRecords int           `json:"parked_records"`
	Lost          int           `json:"lost"` // of these: dropped, and below the target
	Done          bool          `json:"done"`
}

type shownStored struct {
	Handler      string `json:"handler"`
	FencingToken int64  `json:"fencing_token"`
	Low          int64  `json:"low"`
	Lanes        int    `json:"lanes"`
	Highest      int64  `json:"highest"`
	Exceptions   int    `json:"exceptions"`
}

func stored(all []orderly.StoreOffsets) []shownStored {
	out := []shownStored{}
	for _, o := range all {
		out = append(out, shownStored{o.Handler, o.Token, o.Low, o.Lanes, o.Highest, o.Exceptions})
	}
	return out
}

func newOffsetsShow(s Streams) *cobra.Command {
	var prefix, dsn string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show -t TOPIC -g GROUP [flags]",
		Short: "Print how far a group is in each partition",
		Long: `show prints what the group has committed, the watermark (the lowest offset that is not done or parked), how many records above
it are done, and what is parked; with --store also the positions in the database, which decide for a consumer with effects.`,
		Example: `  orderly offsets show -t orders -g billing
  orderly offsets show -t orders -g billing --store postgres://billing@db/billing --json`,
		Args: noArgs,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	f.StringVar(&dsn, "store", "", storeFlag)
	f.StringVar(&prefix, "parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for each partition")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		return withAdmin(cmd, s, set, prefix, "", func(a *orderly.Admin) error {
			return withStore(cmd.Context(), migrate.DSN(dsn), func(db store.Backend) error {
				all, err := a.Offsets(cmd.Context(), set.Get(connect.Topic), db)
				if err != nil {
					return err
				}
				if committedNothing(all) {
					fmt.Fprintf(s.Err, "orderly: group %s has committed nothing in topic %s: is it the right group?\n", set.Get(connect.Group), set.Get(connect.Topic))
				}
				return showOffsets(s, all, asJSON)
			})
		})
	})
	return cmd
}

func committedNothing(all []orderly.PartitionOffsets) bool {
	return !slices.ContainsFunc(all, func(p orderly.PartitionOffsets) bool { return p.Committed >= 0 })
}

func showOffsets(s Streams, all []orderly.PartitionOffsets, asJSON bool) error {
	out := json.NewEncoder(s.Out)
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "PARTITION\tLOG\tCOMMITTED\tWATERMARK\tDONE AHEAD\tPARKED\tMETADATA\tSTORE")
	}
	for _, p := range all {
		if asJSON {
			o := shownOffsets{p.Topic, p.Partition, p.Start, p.End, p.Committed, p.Metadata, p.Token, p.Watermark, p.DoneAhead, p.Attempts, p.ParkedKeys, p.ParkedRecords, p.Reset, stored(p.Store)}
			if err := out.Encode(o); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%d\t%d-%d\t%s\t%s\t%d\t%d\t%s\t%s\n", p.Partition, p.Start, p.End, offset(p.Committed), offset(p.Watermark), p.DoneAhead, p.ParkedRecords, p.Metadata, storeText(p))
	}
	return w.Flush()
}

func offset(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func storeText(p orderly.PartitionOffsets) (text string) {
	for i, o := range p.Store {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s: from %d, %d lanes up to %s, %d waiting", o.Handler, o.Low, o.Lanes, offset(o.Highest), o.Exceptions)
	}
	if text == "" {
		text = "-"
	}
	if p.Reset >= 0 {
		text += fmt.Sprintf(" (a reset to %d is not through here)", p.Reset)
	}
	return text
}

// target reads --to.
func target(text string) (orderly.ResetTarget, error) {
	switch text {
	case "":
		return orderly.ResetTarget{}, usagef("\"orderly offsets reset\" needs --to: earliest, latest, stored, an offset, or a time")
	case "earliest":
		return orderly.ToEarliest(), nil
	case "latest":
		return orderly.ToLatest(), nil
	case "stored":
		return orderly.ToStored(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return orderly.ToOffset(n), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return orderly.ResetTarget{}, usagef("--to is %q: it is earliest, latest, stored, an offset, or a time such as 2006-01-02T15:04:05Z", text)
	}
	return orderly.ToTime(at), nil
}

func newOffsetsReset(s Streams) *cobra.Command {
	var (
		r                    orderly.OffsetReset
		to, dsn, prefix, who string
		partitions           []int32
		asJSON               bool
		long                 = `reset moves a group that has no members: the offset that it has committed, with what orderly keeps beside it, the positions in the
database of a consumer with effects (--store), and what is parked, as one new generation with a fencing token above all before.

Back means that records are handled again, and their effects happen again. Forward means that records are never handled.

--to is earliest, latest, an offset, the time of a record (2006-01-02T15:04:05Z), or stored: where the database is, to undo a
move of the group's offset alone. All partitions are looked at before one is changed. Who, when and why is written into
the parking topic and the database, where they are there, and to standard error.

When it is cut off, the group does not start and names this command: called again, it completes the reset.`
	)
	cmd := &cobra.Command{
		Use: "reset -t TOPIC -g GROUP --to TARGET --reason TEXT [flags]", Short: "Move a stopped group to other offsets, in Kafka, database and parking as one", Long: long, Args: noArgs,
		Example: `  orderly offsets reset -t orders -g billing --to 2026-03-01T00:00:00Z --reason 'wrong tax rate' --dry-run
  orderly offsets reset -t orders -g billing --to 4711 --partitions 3 --reason 'lost a disk' --store postgres://admin@db/billing
  orderly offsets reset -t orders -g billing --to latest --parked keep --reason 'a test ran wild'`,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	f.StringVar(&to, "to", "", "earliest, latest, stored, an offset, or a time")
	f.Int32SliceVar(&partitions, "partitions", nil, "of the topic, separated by commas (default: all)")
	f.StringVar(&r.Parked, "parked", "", "what becomes of parked records: keep or drop (needed when there are some)")
	f.StringVar(&dsn, "store", "", storeFlag)
	f.StringVar(&r.Reason, "reason", "", "why; it is written down")
	f.StringVar(&who, "who", "", "who does it; it is written down, and not checked (default: this user)")
	f.BoolVar(&r.DryRun, "dry-run", false, "only print what would be done")
	f.StringVar(&prefix, "parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for each partition")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		if r.To, err = target(to); err != nil {
			return err
		}
		switch {
		case r.Reason == "":
			return usagef("%q needs --reason: records are handled again, or never", cmd.CommandPath())
		case r.Parked != "" && r.Parked != orderly.ParkedKeep && r.Parked != orderly.ParkedDrop:
			return usagef("--parked is %q: it is keep or drop", r.Parked)
		case to == "stored" && migrate.DSN(dsn) == "":
			return usagef("--to stored needs --store: the database whose positions the group is moved to (or ORDERLY_STORE_DSN)")
		}
		r.Partitions = partitions
		if who == "" {
			who = "unknown"
			if u, err := user.Current(); err == nil {
				who = u.Username
			}
		}
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		return withAdmin(cmd, s, set, prefix, who, func(a *orderly.Admin) error {
			return withStore(cmd.Context(), migrate.DSN(dsn), func(db store.Backend) error {
				r.Topic, r.Store = set.Get(connect.Topic), db
				steps, err := a.ResetOffsets(cmd.Context(), r)
				if printErr := printReset(s, steps, asJSON); err == nil {
					err = printErr
				}
				if err == nil && !r.DryRun {
					fmt.Fprintf(s.Err, "%s: %s has moved group %s in topic %s to %s: %s\n", time.Now().Format(time.RFC3339), who, set.Get(connect.Group), r.Topic, r.To, r.Reason)
				}
				return err
			})
		})
	})
	return cmd
}

func printReset(s Streams, steps []orderly.ResetPartition, asJSON bool) error {
	out := json.NewEncoder(s.Out)
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if !asJSON && len(steps) > 0 {
		fmt.Fprintln(w, "PARTITION\tFROM\tTO\tSTORE\tPARKED\tLOST\tDONE")
	}
	for _, p := range steps {
		if asJSON {
			if err := out.Encode(shownReset{p.Topic, p.Partition, p.From, p.To, stored(p.Stored), p.Parked, p.Lost, p.Done}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%d\t%d\t%t\n", p.Partition, offset(p.From), p.To, storeText(orderly.PartitionOffsets{Store: p.Stored, Reset: -1}), p.Parked, p.Lost, p.Done)
	}
	return w.Flush()
}
