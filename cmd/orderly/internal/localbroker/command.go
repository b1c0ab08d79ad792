package localbroker

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const lacks = `one process and one copy on this disk: no replication, no failover. A killed process
loses nothing that was acknowledged; a broken disk, or power lost in the middle of a
write, may. For development and tests, not for production.`

// Command is "orderly broker".
func Command() *cobra.Command {
	var (
		o      Options
		topics []string
	)
	cmd := &cobra.Command{
		Use:   "broker --data DIR",
		Short: "a Kafka broker for this machine, kept in a directory",
		Long: `A Kafka broker in this process, for any Kafka client, with its data in a directory.
Nothing has to be installed.

What it is not: ` + lacks + `

Clients are sent to the address of --listen, so it cannot be 0.0.0.0. An address that
other machines reach is open to all of them: there are no passwords and no encryption.

The directory belongs to one process at a time; ` + lockName + ` in it tells where that one
answers. Commands with --local DIR connect to it, or serve the directory themselves.

After a kill the next start checks all data and repairs what it can, and names what it
cannot. Ctrl-C, or SIGTERM, ends the broker cleanly; a second one ends it at once.`,
		Example: `  orderly broker --data ./kafka --topic orders:8
  orderly broker --data /tmp/k --listen 127.0.0.1:0     # any free port: printed at start`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, o, topics) },
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "data", "", "directory of the data; made when it is not there")
	f.StringVar(&o.Listen, "listen", DefaultListen, "host:port; port 0 takes a free one")
	f.StringArrayVar(&topics, "topic", nil, "NAME:PARTITIONS, made when it is not there; may be repeated")
	f.BoolVar(&o.AutoCreate, "auto-create", false, "make topics that clients ask for (10 partitions); a mistyped name is then a new topic")
	return cmd
}

func serve(cmd *cobra.Command, o Options, topics []string) (err error) {
	var want []Topic
	for _, s := range topics {
		t, err := ParseTopic(s)
		if err != nil {
			return err
		}
		want = append(want, t)
	}
	say := func(line string) { cmd.PrintErrln("broker: " + line) }
	o.Notice = say
	o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))

	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := Open(ctx, o)
	if err != nil {
		return err
	}
	if err := b.EnsureTopics(want...); err != nil {
		_ = b.Close()
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "listening on", b.Addr())
	say("data in " + b.Dir() + "; " + lacks)
	<-ctx.Done()
	stop() // a second signal ends the process
	say("ending")
	return b.Close()
}
