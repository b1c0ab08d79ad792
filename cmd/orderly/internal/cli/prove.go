package cli

import (
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove"
	"github.com/spf13/cobra"
)

func newProve(version string, s Streams) *cobra.Command {
	o := proveOptions{c: prove.Config{Version: version, Workload: prove.EndToEnd}}
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Find out whether order holds, beside a control that must break",
		Long: `prove shows whether the records of a key stay in order: it writes and processes some thousand records, through a proxy that
loses answers, refuses batches and sends them twice, while handlers fail and members of the group come and go. The log and
what was processed are then checked, record by record.

Alone it tries orderly's own producer and consumer, on a broker inside this process, and needs nothing: some seconds. Its
commands try one side, other clients, your own program, a cluster of yours, or the claims of articles (scenario).

The verdict is VIOLATED, with the smallest example and the setting to change; HELD, under so many faults while the control was
violated so often; or INCONCLUSIVE, with the reason. It never says "proven".
` + proveHelp,
		Example: `  orderly prove                      orderly, end to end, on the embedded broker
  orderly prove producer --idempotent=false
                                     a franz-go producer without idempotence
  orderly prove producer --seq .n -- java -jar app.jar {brokers} {topic}
                                     your own producer, in any language
  orderly prove consumer -- python3 reader.py {brokers} {topic} {group} {member}
                                     your own consumer
  orderly prove consumer --brokers localhost:9092
                                     orderly's consumer, on a cluster of yours
  orderly prove --duration 1h --html report.html`,
		Args: knownCommand,
	}
	o.add(cmd.Flags(), prove.EndToEnd)
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error { return o.run(cmd, args, s) })
	cmd.AddCommand(
		newProveWorkload(version, s, prove.Producer, "Try a producer: orderly's, franz-go's, or your own program",
			`producer writes numbered records through a proxy that makes faults, and reads the log: is each key's order kept, is each record
there, and once?

A program behind -- is the subject: in any language. It is told where to write: {brokers} and {topic} in its arguments are
replaced, and `+prove.BrokersEnv+` and `+prove.TopicEnv+` are in its environment. It needs no change but a key and a number in
its records: the place in the key's order, from 1 (--seq says where it is). It should write at least some 100 records of each of
several keys, in small batches, and end by itself or at --limit. The control then writes the same keys and numbers.`,
			`  orderly prove producer
  orderly prove producer --acks 1 --idempotent=false --in-flight 1
  orderly prove producer --seq .n --limit 30s -- python3 writer.py {brokers} {topic}
  orderly prove producer --brokers localhost:9092 --fault lost-ack:share=1% --record faults.jsonl`),
		newProveWorkload(version, s, prove.Consumer, "Try a consumer: orderly's, franz-go's, or your own program",
			`consumer has a group of members process records that stand in the log, while one joins, one leaves and is replaced, handlers
fail twice at one of 40 records and are slow at one of 16, fetches fail, and answers to commits are lost.

A program behind -- is the subject: in any language. Copies of it are started, told to end (SIGTERM), and killed, while records
are written. {brokers}, {topic}, {group} and {member} in its arguments are replaced, and `+prove.BrokersEnv+`,
`+prove.TopicEnv+`, `+prove.GroupEnv+` and `+prove.MemberEnv+` are in its environment. Each copy writes a line
to its standard output, at once (flushed), when it has processed a record, and before it commits:

  MEMBER done KEY NUMBER       the record's number is in its value, {"n":17}, or where --seq says
  MEMBER start KEY NUMBER      if it says this, too, processing side by side is seen
  MEMBER failed | skipped KEY NUMBER        it will be tried again; it is given up on purpose

or {"member":"...","did":"done","partition":0,"offset":17}, also with "key" and "number". Other lines are left alone. Give the
program a short session timeout (6s): until that is over, the records of a killed copy wait.`,
			`  orderly prove consumer
  orderly prove consumer --workers 64
  orderly prove consumer -- python3 reader.py {brokers} {topic} {group} {member}`),
		newProveWorkload(version, s, prove.EndToEnd, "Try a producer and a consumer together",
			`end-to-end writes and processes at the same time, with the faults of both. It is what "orderly prove" alone does.`,
			`  orderly prove end-to-end --subject franz-go
  orderly prove end-to-end --duration 10m`),
		newProveWorkload(version, s, prove.Growth, "Try a producer while partitions are added",
			`growth doubles the number of partitions half-way. Most clients then write about half of the keys to another partition than before, where
nothing keeps their records behind the earlier ones.`,
			`  orderly prove growth
  orderly prove growth --subject franz-go`),
		newProveScenario(version, s), newProveCheck(version, s), newProveProxy(s),
	)
	return cmd
}
