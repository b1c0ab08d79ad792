package cli

import (
	"github.com/orderly-go/orderly/cmd/orderly/internal/migrate"
	"github.com/spf13/cobra"
)

func newStore(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Databases of consumers with effects: make their tables",
		Args:  knownCommand,
		RunE:  run(func(cmd *cobra.Command, _ []string) error { return cmd.Help() }),
	}
	cmd.AddCommand(newMigrate(s))
	return cmd
}

func newMigrate(s Streams) *cobra.Command {
	var dsn string
	var only bool
	cmd := &cobra.Command{
		Use:   "migrate --dsn DSN [flags]",
		Short: "Make the tables in which effects and positions are one",
		Long: `migrate makes the tables of a consumer with Effects, or brings them to this release's version. It may be called any number of
times, and by several at once. Tables of a newer release are refused. It needs the right to create tables in the first
schema of the search path; what consuming needs, --print names.

The DSN is postgres://USER@HOST/DATABASE, key=value pairs as libpq takes them, or sqlite:FILE; without --dsn it is
ORDERLY_STORE_DSN. A password is better kept in PGPASSWORD, ~/.pgpass or the environment than on the command line.`,
		Example: `  orderly store migrate --dsn postgres://billing@db/billing
  orderly store migrate --dsn postgres://billing@db/billing --print > orderly.sql
  orderly store migrate --dsn sqlite:billing.db`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&dsn, "dsn", "", "the database (default: ORDERLY_STORE_DSN)")
	f.BoolVar(&only, "print", false, "print the statements for a database without these tables, and change nothing")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		dsn := migrate.DSN(dsn)
		if only {
			return migrate.Print(s.Out, dsn)
		}
		return migrate.Run(cmd.Context(), s.Out, dsn)
	})
	return cmd
}
