package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/diagnosis"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/spf13/cobra"
)

func newDoctor(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what breaks the order of messages, say why, and how to mend it",
		Args:  knownCommand,
		RunE:  run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(newDoctorConfig(s), newDoctorCluster(s), newDoctorLog(s), newDoctorRules(s))
	return cmd
}

func newDoctorConfig(s Streams) *cobra.Command {
	var (
		o      config.Options
		client string
		failOn string
		asJSON bool
		each   time.Duration
	)
	cmd := &cobra.Command{
		Use:   "config FILE...|DIR|- [flags]",
		Short: "Check configurations of producers, consumers, brokers and connectors, in files",
		Long: `config reads files, folders and, as "-", standard input. It connects to nothing and prints no value that rules do not look at.

Read in full: Java .properties; Spring Boot YAML and properties with profiles; Kafka Connect properties and JSON; properties, JSON and Python
dicts of librdkafka's clients; broker properties; the environment in compose files, Kubernetes objects, scripts and "docker run" (KAFKA_...,
SPRING_KAFKA_..., CONNECT_...); Go source with Sarama, franz-go, kafka-go and confluent-kafka-go.
Read as far as one file goes (best effort): calls in Java and Kotlin, KafkaJS, aiokafka, kafka-python. A value that comes from somewhere else is
said to be decided elsewhere, and no finding rests on it.

The client and its version are read from pom.xml, build.gradle, go.mod, package.json and requirements beside the file or above it, or given. When
they are unknown, findings say with which versions they are so, and count as warnings.

Findings come by what to do next; then the effective values with their origin, what could not be read, and which rules could not be checked.
The command ends with 3 when there are findings of the severity of --fail-on. docs/rules.md has all rules.

--json prints one object, whose keys without a value are left out: format (1), verdict (findings, clean, nothing), errors, warnings, notes, findings (rule, severity, title, what, unit, client, where with file, line and
text, only_with, damage, fix, why, when_not, source, prove), units (kind, name, file, line, client, framework, versions, version_from, partial,
effective with name, value, origin, only_with), checked, not_checked (rule, title, needs), skipped (file, line, why),
hidden_clients (kind: producer, consumer, or client where it may be either; client, made_with, file, line: clients whose
settings were not seen), unknown_settings (name, near, file, line), files, files_looked.`,
		Example: `  orderly doctor config .
  orderly doctor config application.yml --client-version 3.1.0
  orderly doctor config consumer.properties --record-time 800ms
  kubectl get configmap app -o yaml | orderly doctor config - --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%q needs a file, a folder, or - for standard input", cmd.CommandPath())
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&client, "client", "", "the client library, where files do not tell: "+clientNames())
	f.StringVar(&o.Version, "client-version", "", "the version of the client library, such as 3.1.0")
	f.DurationVar(&each, "record-time", 0, "the longest that handling a record takes: checks max.poll.records against max.poll.interval.ms")
	f.StringVar(&failOn, "fail-on", "error", "end with 3 on findings of this severity or a worse one: error or warn")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = run(func(_ *cobra.Command, args []string) error {
		o.Client, o.RecordTime, o.Paths, o.In = facts.Client(client), each, args, s.In
		if client != "" && !slices.Contains(facts.Clients(), o.Client) {
			return usagef("--client is %q: it must be one of %s", client, clientNames())
		}
		if failOn != "error" && failOn != "warn" {
			return usagef("--fail-on is %q: it must be error or warn", failOn)
		}
		if each < 0 {
			return usagef("--record-time is %s: it must not be below 0", each)
		}
		set, err := config.Read(o)
		if err != nil {
			return &codeError{code: exitUsage, text: err.Error()}
		}
		r := diagnosis.Of(set)
		if asJSON {
			err = printJSON(s.Out, r)
		} else {
			err = r.Text(s.Out)
		}
		switch {
		case err != nil:
			return err
		case r.Fails(failOn):
			return &codeError{code: exitViolated, text: plural.Of(r.Errors, "error") + " and " + plural.Of(r.Warnings, "warning") + " were found"}
		case r.Verdict == "nothing":
			return &codeError{code: exitInconclusive, text: r.Conclusion()}
		}
		return nil
	})
	return cmd
}

func clientNames() string {
	var names []string
	for _, c := range facts.Clients() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

func newDoctorRules(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "rules [ID]",
		Short: "List the rules, or explain one",
		Long: `rules lists what doctor looks for. With an id it explains one: cause, diagnosis, fix, why, when it does not matter, whether data is damaged, how to
prove it, and the source. An id never changes its meaning.`,
		Example: `  orderly doctor rules
  orderly doctor rules P02`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%q takes one id at the most", cmd.CommandPath())
			}
			return nil
		},
		RunE: run(func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, r := range rules.All() {
					if _, err := fmt.Fprintf(s.Out, "%s  %-5s  %s\n", r.ID, r.Severity, r.Title); err != nil {
						return err
					}
				}
				return nil
			}
			r := rules.Find(args[0])
			if r == nil {
				return usagef("there is no rule %q; \"orderly doctor rules\" lists them", args[0])
			}
			_, err := fmt.Fprintf(s.Out, "%s  %s  %s\n\n%s", r.ID, r.Severity, r.Title, r.Text(""))
			return err
		}),
	}
}
