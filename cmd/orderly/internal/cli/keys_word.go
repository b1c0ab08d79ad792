package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/user"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// keyFlags are those that name a key.
type keyFlags struct {
	f        *pflag.FlagSet
	key, hex string
	none     bool
}

func addKeyFlags(f *pflag.FlagSet) *keyFlags {
	k := &keyFlags{f: f}
	f.StringVar(&k.key, "key", "", "the ordering key")
	f.StringVar(&k.hex, "key-hex", "", "the ordering key in hexadecimal digits")
	f.BoolVar(&k.none, "no-key", false, "the records without an ordering key, or the whole partition in partition scope")
	return k
}

// named is how many of them were given.
func (k *keyFlags) named() (n int) {
	for _, name := range []string{"key", "key-hex", "no-key"} {
		if k.f.Changed(name) {
			n++
		}
	}
	return n
}

func (k *keyFlags) get() ([]byte, error) {
	switch {
	case k.f.Changed("key"):
		return []byte(k.key), nil
	case k.f.Changed("key-hex"):
		raw, err := hex.DecodeString(k.hex)
		if err != nil {
			return nil, usagef("--key-hex: %v", err)
		}
		return raw, nil
	}
	return nil, nil
}

// a wordFlags is what all commands of operators have.
type wordFlags struct {
	reason, id, who, prefix string
	patience                time.Duration
	asJSON                  bool
}

func (w *wordFlags) add(f *pflag.FlagSet) {
	f.StringVar(&w.reason, "reason", "", "why; it is written down")
	f.StringVar(&w.id, "id", "", "of the command: a repeat does nothing more (default: a random one)")
	f.StringVar(&w.who, "who", "", "who gives it; it is written down, and not checked (default: this user)")
	f.StringVar(&w.prefix, "parking-prefix", parking.DefaultPrefix, "what the parking topic's name begins with")
	f.DurationVar(&w.patience, "timeout", 30*time.Second, "how long to wait for the answer")
	f.BoolVar(&w.asJSON, "json", false, "print one JSON object a line")
}

func (w *wordFlags) check() error {
	if w.patience <= 0 {
		return usagef("--timeout is %s: it must be above zero", w.patience)
	}
	if w.who == "" {
		w.who = "unknown"
		if u, err := user.Current(); err == nil {
			w.who = u.Username
		}
	}
	return nil
}

const aboutWords = `The command is written to the group's parking topic, and stays there until the owner of the partition has answered; the
answer is printed. A repeat with the same --id does nothing more. It ends with 1 when the command is refused, or was not
answered within --timeout: then its state is "requested", and it is done when the partition has an owner.

Where there is no parking topic the first command makes it, with the partitions and replicas of its topic, if the group has
committed something of that topic; owners find it within half a minute. "orderly setup --parking" makes it beforehand.`

// reason says why a reason has to be given; because is one, for the example.
var keyWords = map[string]struct{ short, long, reason, because string }{
	"retry": {"Release a parked key, or try a blocked one, now", `The parked records of the key are handed to the handler in order, and the release stops at the first that fails. Of a
blocked key the record at --offset is tried.`, "", ""},
	"skip": {"Let a parked record, or the first of a blocked key, count as done", `The record is never handed to the handler: a hole in the order of its key, written down with who and why.`,
		"it makes a hole in the order of the key", "duplicate of 4710"},
	"park": {"Park a blocked key", `The oldest record of a blocked key, at --offset, and all later ones of the key go to the parking topic, or the database of a
consumer with effects, in order and without a call of the handler, until somebody releases them; other keys go on, and the
committed offset passes. For a key that blocks under the policies block and park, or waits for its next attempt.`, "its records wait until somebody releases them", "the customer has to be asked"},
}

// newKeysWord is the command of an operator's word about a key.
func newKeysWord(s Streams, verb string) *cobra.Command {
	var (
		c     orderly.Command
		w     wordFlags
		about = keyWords[verb]
	)
	example := "  orderly keys " + verb + " -t orders -g billing --partition 3 --key c-17 --offset 4711"
	if about.reason != "" {
		example += " --reason '" + about.because + "'"
	}
	cmd := &cobra.Command{
		Use: verb + " -t TOPIC -g GROUP --partition N --key KEY --offset N [flags]", Short: about.short, Long: about.long + "\n\n" + aboutWords, Args: noArgs, Example: example,
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	key := addKeyFlags(f)
	f.Int32Var(&c.Partition, "partition", -1, "of the topic")
	f.Int64Var(&c.Offset, "offset", -1, "of the key's record, in the topic (FIRST OFFSET of keys list)")
	w.add(f)
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		switch {
		case c.Partition < 0:
			return usagef("%q needs --partition", cmd.CommandPath())
		case key.named() != 1:
			return usagef("%q needs one of --key, --key-hex and --no-key", cmd.CommandPath())
		case c.Offset < 0:
			return usagef("%q needs --offset", cmd.CommandPath())
		case about.reason != "" && w.reason == "":
			return usagef("%q needs --reason: %s", cmd.CommandPath(), about.reason)
		}
		if err := w.check(); err != nil {
			return err
		}
		if c.Key, err = key.get(); err != nil {
			return err
		}
		c.Reason, c.ID = w.reason, w.id
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		return withAdmin(cmd, s, set, w.prefix, w.who, func(a *orderly.Admin) error {
			c.Topic = set.Get(connect.Topic)
			ctx, cancel := context.WithTimeout(cmd.Context(), w.patience)
			defer cancel()
			do := map[string]func(context.Context, orderly.Command) (orderly.Answer, error){"retry": a.Retry, "skip": a.Skip, "park": a.Park}[verb]
			ans, err := do(ctx, c)
			if cmd.Context().Err() != nil {
				return errInterrupted
			}
			if ans.State == "" {
				return err // it was not written
			}
			if perr := printAnswer(s, w.asJSON, ans); err == nil {
				err = perr
			}
			if err == nil && ans.State == "refused" {
				err = &codeError{code: exitFailed, text: "the command was refused: " + ans.Result}
			}
			return err
		})
	})
	return cmd
}

func printAnswer(s Streams, asJSON bool, ans orderly.Answer) error {
	if asJSON {
		return json.NewEncoder(s.Out).Encode(map[string]any{"id": ans.ID, "state": ans.State, "result": ans.Result, "at": when(ans)})
	}
	_, err := fmt.Fprintf(s.Out, "%s%s (command %s)\n", ans.State, resultText(ans), ans.ID)
	return err
}

func resultText(ans orderly.Answer) string {
	if ans.Result == "" {
		return ""
	}
	return ": " + ans.Result
}

// when is the time of an answer; null: there is none.
func when(ans orderly.Answer) *time.Time {
	if ans.At.IsZero() {
		return nil
	}
	return &ans.At
}
