package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/parking"
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
func withAdmin(cmd *cobra.Command, s Streams, set *connect.Settings, prefix, who string, f func(a *orderly.Admin) error) (err error) {
	if err := need(set, cmd, connect.Topic, connect.Group); err != nil {
		return err
	}
	cluster, err := set.Open(cmd.Context(), s.Err)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: cluster.Brokers, KafkaOpts: cluster.Opts, Group: set.Get(connect.Group), Prefix: prefix, Who: who})
	if err != nil {
		return err
	}
	defer a.Close()
	return f(a)
}

func listParked(cmd *cobra.Command, s Streams, set *connect.Settings, prefix string, limit int, asJSON bool) error {
	return withAdmin(cmd, s, set, prefix, "", func(a *orderly.Admin) error {
		keys, err := a.ParkedKeys(cmd.Context(), set.Get(connect.Topic))
		if err != nil {
			return err
		}
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

// newKeysWord is the command of an operator's word about a parked key.
func newKeysWord(s Streams, verb string) *cobra.Command {
	var (
		c             orderly.Command
		key, keyHex   string
		prefix, who   string
		patience      time.Duration
		noKey, asJSON bool
		about         = map[string]string{"retry": "Release a parked key now", "skip": "Let the first parked record of a key count as done"}[verb]
		long          = `The command is written to the group's parking topic, and stays there until the owner of the partition has answered; the
answer is printed. A repeat with the same --id does nothing more. It ends with 1 when the command is refused, or was not
answered within --timeout.`
	)
	if verb == "skip" {
		long = "The record is never handed to the handler: a hole in the order of its key, written down with who and why.\n\n" + long
	} else {
		long = "The parked records of the key are handed to the handler in order, and the release stops at the first that fails.\n\n" + long
	}
	cmd := &cobra.Command{
		Use: verb + " -t TOPIC -g GROUP --partition N --key KEY --offset N [flags]", Short: about, Long: long, Args: noArgs,
		Example: "  orderly keys " + verb + " -t orders -g billing --partition 3 --key c-17 --offset 4711" + map[string]string{"skip": " --reason 'duplicate of 4710'"}[verb],
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	f.Int32Var(&c.Partition, "partition", -1, "of the topic")
	f.StringVar(&key, "key", "", "the ordering key")
	f.StringVar(&keyHex, "key-hex", "", "the ordering key in hexadecimal digits")
	f.BoolVar(&noKey, "no-key", false, "the records without an ordering key, or the whole partition in partition scope")
	f.Int64Var(&c.Offset, "offset", -1, "of the key's record, in the topic (FIRST OFFSET of keys list)")
	f.StringVar(&c.Reason, "reason", "", "why; it is written down")
	f.StringVar(&c.ID, "id", "", "of the command: a repeat does nothing more (default: a random one)")
	f.StringVar(&who, "who", "", "who gives it; it is written down, and not checked (default: this user)")
	f.StringVar(&prefix, "parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.DurationVar(&patience, "timeout", 30*time.Second, "how long to wait for the answer")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		named := 0
		for _, name := range []string{"key", "key-hex", "no-key"} {
			if f.Changed(name) {
				named++
			}
		}
		switch {
		case c.Partition < 0:
			return usagef("%q needs --partition", cmd.CommandPath())
		case named != 1:
			return usagef("%q needs one of --key, --key-hex and --no-key", cmd.CommandPath())
		case c.Offset < 0:
			return usagef("%q needs --offset", cmd.CommandPath())
		case verb == "skip" && c.Reason == "":
			return usagef("%q needs --reason: it makes a hole in the order of the key", cmd.CommandPath())
		case patience <= 0:
			return usagef("--timeout is %s: it must be above zero", patience)
		}
		switch {
		case f.Changed("key"):
			c.Key = []byte(key)
		case f.Changed("key-hex"):
			raw, err := hex.DecodeString(keyHex)
			if err != nil {
				return usagef("--key-hex: %v", err)
			}
			c.Key = raw
		}
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
			c.Topic = set.Get(connect.Topic)
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			do := a.Retry
			if verb == "skip" {
				do = a.Skip
			}
			ans, err := do(ctx, c)
			if cmd.Context().Err() != nil {
				return errInterrupted
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(s.Out).Encode(map[string]any{"id": ans.ID, "state": ans.State, "result": ans.Result, "at": ans.At})
			} else {
				_, err = fmt.Fprintf(s.Out, "%s: %s (command %s)\n", ans.State, ans.Result, ans.ID)
			}
			if err == nil && ans.State == "refused" {
				err = &codeError{code: exitFailed, text: "the command was refused: " + ans.Result}
			}
			return err
		})
	})
	return cmd
}
