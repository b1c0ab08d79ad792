package cli

import (
	"fmt"
	"io"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/spf13/cobra"
)

// newConfig shows the settings with which the other commands would connect.
func newConfig(s Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective connection settings, and where each one comes from",
		Long: `config prints how the other commands would connect, with the same flags, environment and file. It connects to nothing.
A setting is taken from the first of these that has it: a flag, the environment, the file of --config, the default.
Secrets are masked.

` + connect.Help() + `

The file is one of the Java client (.properties), or YAML (.yaml) with the same names, nested or with dots. Of the Java
client's own names these are known too: ssl.truststore.location and ssl.keystore.location with type PEM, sasl.jaas.config
of the PLAIN and SCRAM modules, ssl.endpoint.identification.algorithm=https. A property that is not known is an error.

With --json: {"settings": [{"name", "value", "origin"}, ...]}; a setting that is not set has an empty value and origin.`,
		Example: `  orderly config
  orderly config --config client.properties --json
  ORDERLY_SASL_PASSWORD=... orderly config --sasl-mechanism SCRAM-SHA-512 --sasl-username billing`,
		Args: noArgs,
	}
	f := connect.AddFlags(cmd.Flags(), connect.Topic, connect.Group)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = run(func(*cobra.Command, []string) error {
		set, err := resolve(f, s.Err)
		if err != nil {
			return err
		}
		return set.Write(s.Out, asJSON)
	})
	return cmd
}

// resolve gathers the settings and says what should be known of them.
func resolve(f *connect.Flags, notes io.Writer) (*connect.Settings, error) {
	set, err := f.Resolve()
	if err != nil {
		return nil, err
	}
	for _, n := range set.Notes {
		fmt.Fprintln(notes, "orderly: note: "+n)
	}
	return set, nil
}

// need refuses settings that a command cannot do without.
func need(set *connect.Settings, cmd *cobra.Command, names ...string) error {
	flags := map[string]string{connect.Topic: "-t, --topic or ORDERLY_TOPIC", connect.Group: "-g, --group or ORDERLY_GROUP"}
	for _, n := range names {
		if set.Get(n) == "" {
			return usagef("%q needs a %s: set %s", cmd.CommandPath(), map[string]string{connect.Topic: "topic", connect.Group: "group"}[n], flags[n])
		}
	}
	return nil
}
