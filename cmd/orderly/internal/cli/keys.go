package cli

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/migrate"
	"github.com/orderly-go/orderly/store"
	"github.com/spf13/cobra"
)

// parkedKey is a parked key as it is printed.
type parkedKey struct {
	Topic       string     `json:"topic"`
	Partition   int32      `json:"partition"`
	Key         *string    `json:"key,omitempty"`
	KeyHex      string     `json:"key_hex,omitempty"`
	State       string     `json:"state"`
	FirstOffset int64      `json:"first_offset"`
	Records     int        `json:"records"`
	Cause       string     `json:"cause"`
	Attempts    int        `json:"attempts"`
	Releases    int        `json:"releases"`
	Since       *time.Time `json:"since,omitempty"`
	Next        *time.Time `json:"next,omitempty"`
}

func present(k orderly.ParkedKey) parkedKey {
	p := parkedKey{Topic: k.Topic, Partition: k.Partition, State: "parked", FirstOffset: k.FirstOffset, Records: k.Records,
		Cause: k.Cause, Attempts: k.Attempts, Releases: k.Releases}
	switch text := string(k.Key); {
	case k.Key == nil:
	case utf8.ValidString(text):
		p.Key = &text
	default:
		p.KeyHex = hex.EncodeToString(k.Key)
	}
	for _, t := range []struct {
		at time.Time
		to **time.Time
	}{{k.Since, &p.Since}, {k.Next, &p.Next}} {
		if !t.at.IsZero() {
			*t.to = &t.at
		}
	}
	return p
}

func (p parkedKey) name() string {
	switch {
	case p.Key != nil:
		return fmt.Sprintf("%q", *p.Key)
	case p.KeyHex != "":
		return "hex:" + p.KeyHex
	}
	return "-"
}

// withAdmin calls f with an Admin of the group.
func withAdmin(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, who string, f func(a *orderly.Admin) error) error {
	if err := need(set, cmd, connect.Topic); err != nil {
		return err
	}
	return withGroupAdmin(cmd, s, set, prefix, who, f)
}

// withGroupAdmin is withAdmin for what needs no topic.
func withGroupAdmin(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, who string, f func(a *orderly.Admin) error) (err error) {
	return withStoreAdmin(cmd, s, set, prefix, who, nil, f)
}

// withStoreAdmin is withGroupAdmin for an Admin that sees a database; nil: none.
func withStoreAdmin(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, who string, db store.Backend, f func(a *orderly.Admin) error) (err error) {
	if err := need(set, cmd, connect.Group); err != nil {
		return err
	}
	cluster, err := set.Open(cmd.Context(), s.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: cluster.Brokers, KafkaOpts: cluster.Opts, Group: set.Get(connect.Group), Prefix: prefix, Who: who, Store: db})
	if err != nil {
		return err
	}
	defer a.Close()
	return f(a)
}

// withParked is withAdmin for what shows parked records, which may be in a database.
func withParked(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, dsn string, f func(a *orderly.Admin) error) error {
	if err := need(set, cmd, connect.Topic); err != nil {
		return err
	}
	return withStore(cmd.Context(), migrate.DSN(dsn), func(db store.Backend) error {
		return withStoreAdmin(cmd, s, set, prefix, "", db, f)
	})
}

// sortParked sorts parked keys as --sort says. They come by age.
func sortParked(keys []orderly.ParkedKey, order string) {
	by := map[string]func(a, b orderly.ParkedKey) int{
		"records":  func(a, b orderly.ParkedKey) int { return cmp.Compare(b.Records, a.Records) },
		"attempts": func(a, b orderly.ParkedKey) int { return cmp.Compare(b.Attempts+b.Releases, a.Attempts+a.Releases) },
		"partition": func(a, b orderly.ParkedKey) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.FirstOffset, b.FirstOffset))
		},
	}[order]
	if by != nil {
		slices.SortStableFunc(keys, by)
	}
}

func listParked(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, dsn, order string, limit int, asJSON bool) error {
	return withParked(cmd, s, set, prefix, dsn, func(a *orderly.Admin) error {
		keys, err := a.ParkedKeys(cmd.Context(), set.Get(connect.Topic))
		if err != nil {
			return err
		}
		sortParked(keys, order)
		shown := keys[:min(limit, len(keys))]
		if asJSON {
			out := json.NewEncoder(s.Out)
			for _, k := range shown {
				if err := out.Encode(present(k)); err != nil {
					return err
				}
			}
			return nil
		}
		w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PARTITION\tKEY\tFIRST OFFSET\tRECORDS\tATTEMPTS\tRELEASES\tSINCE\tNEXT\tCAUSE")
		for _, k := range shown {
			p := present(k)
			next := "at a command"
			if p.Next != nil {
				next = p.Next.Format(time.DateTime)
			}
			since := "-"
			if p.Since != nil {
				since = p.Since.Format(time.DateTime)
			}
			fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", p.Partition, p.name(), p.FirstOffset, p.Records, p.Attempts, p.Releases, since, next, p.Cause)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%d parked keys, %d shown\n", len(keys), len(shown))
		return err
	})
}
