package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/spf13/cobra"
)

// newPause is the command pause, or resume.
func newPause(s Streams, verb string) *cobra.Command {
	var (
		w         wordFlags
		partition int32
	)
	cmd := &cobra.Command{Use: verb + " -g GROUP [-t TOPIC [--partition N [--key KEY]]] [flags]", Args: noArgs}
	if verb == "pause" {
		cmd.Short = "Hand nothing over of a group, topic, partition or key until it is resumed"
		cmd.Long = `What runs ends; then nothing of what is paused is handed over, whoever owns it and however often members start. A paused
partition says so ("paused", with who and why). The records of a paused key wait in memory while other keys run, up to the
partition's window; then the partition waits as well. Nothing passes them.

` + aboutWords + `
Each partition gets its own command, and one line is printed for each.`
		cmd.Example = "  orderly pause -g billing --reason 'the ledger is being moved'\n  orderly pause -g billing -t orders --partition 3 --key c-17 --reason 'ask the customer'"
	} else {
		cmd.Short = "End the pause of a group, topic, partition or key"
		cmd.Long = `resume ends what "orderly pause" began. The pause of a key is ended by naming the key, that of a partition by naming the
partition, its topic or its group.

` + aboutWords + `
Each partition gets its own command, and one line is printed for each.`
		cmd.Example = "  orderly resume -g billing\n  orderly resume -g billing -t orders --partition 3 --key c-17"
	}
	f := cmd.Flags()
	conn := connect.AddFlags(f, connect.Topic, connect.Group)
	key := addKeyFlags(f)
	f.Int32Var(&partition, "partition", -1, "of the topic (default: all)")
	w.add(f)
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) (err error) {
		set, err := resolve(conn, s.Err)
		if err != nil {
			return err
		}
		t := orderly.Target{Topic: set.Get(connect.Topic), Reason: w.reason, ID: w.id, Keyed: key.named() > 0}
		if f.Changed("partition") {
			t.Partitions = []int32{partition}
		}
		switch {
		case verb == "pause" && w.reason == "":
			return usagef("%q needs --reason: a pause outlasts everybody who knows of it", cmd.CommandPath())
		case f.Changed("partition") && (partition < 0 || t.Topic == ""):
			return usagef("--partition is %d: it is from 0 on, and of a topic (-t)", partition)
		case key.named() > 1 || t.Keyed && len(t.Partitions) != 1:
			return usagef("%q takes one of --key, --key-hex and --no-key, and with it --partition", cmd.CommandPath())
		}
		if t.Key, err = key.get(); err != nil {
			return err
		}
		if err := w.check(); err != nil {
			return err
		}
		return withGroupAdmin(cmd, s, set, w.prefix, w.who, func(a *orderly.Admin) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), w.patience)
			defer cancel()
			do := a.Pause
			if verb == "resume" {
				do = a.Resume
			}
			answers, err := do(ctx, t)
			if cmd.Context().Err() != nil {
				return errInterrupted
			}
			refused := 0
			for _, ans := range answers {
				switch ans.State {
				case "":
					continue // it was not written
				case "refused":
					refused++
				}
				if err := printPause(s, w.asJSON, ans); err != nil {
					return err
				}
			}
			if err == nil && refused > 0 {
				err = &codeError{code: exitFailed, text: fmt.Sprintf("%d of %d partitions refused the command", refused, len(answers))}
			}
			return err
		})
	})
	return cmd
}

func printPause(s Streams, asJSON bool, ans orderly.PartitionAnswer) error {
	if asJSON {
		return json.NewEncoder(s.Out).Encode(map[string]any{"topic": ans.Topic, "partition": ans.Partition, "id": ans.ID, "state": ans.State, "result": ans.Result, "at": when(ans.Answer)})
	}
	_, err := fmt.Fprintf(s.Out, "%s/%d: %s%s (command %s)\n", ans.Topic, ans.Partition, ans.State, resultText(ans.Answer), ans.ID)
	return err
}
