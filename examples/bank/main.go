// Bank sends deposits, withdrawals and transfers through Kafka into a database, twice:
// through a naive consumer, and through orderly's with effects that happen once. While
// it runs, consumers are killed, join, and are frozen until others have their work, and
// the database goes away. In the end every account must have what the model says.
//
//	go run ./examples/bank                                          needs nothing but Go
//	go run ./examples/bank --brokers 127.0.0.1:9092 --postgres postgres://me@db/bank
//
// In reading order: money.go (the records and the model), books.go (the tables and the
// effects), member.go and naive.go (the two consumers), play.go (what happens to them),
// result.go (the verdict).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"time"
)

// Exit codes, as those of the orderly command.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitViolated     = 3
	exitInconclusive = 4
)

func main() {
	if isMember() {
		os.Exit(runMember())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	Seed     uint64
	Records  int
	Brokers  []string // none: one in this process
	Postgres string   // empty: SQLite files in a temporary folder
	Session  time.Duration
	progress io.Writer
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	o := options{progress: errs}
	var asJSON bool
	var brokers string
	f := flag.NewFlagSet("bank", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Uint64Var(&o.Seed, "seed", rand.Uint64N(1_000_000), "decides the records (default: another one each time)")
	f.IntVar(&o.Records, "records", 3000, "how many, at least 200")
	f.StringVar(&brokers, "brokers", "", "Kafka, host:port,... (default: a broker in this process)")
	f.StringVar(&o.Postgres, "postgres", "", "PostgreSQL, postgres://USER@HOST/DATABASE; schemas of its own are made and removed (default: SQLite in a temporary folder)")
	f.DurationVar(&o.Session, "session", 0, "session timeout of the consumers (default 1.5s; with --brokers 6s, the lowest that brokers allow by default)")
	f.BoolVar(&asJSON, "json", false, "print the result as one JSON object")
	if err := f.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return 0
		}
		return exitUsage
	}
	if o.Records < 200 || f.NArg() > 0 {
		fmt.Fprintln(errs, "bank: --records is at least 200, and there are no arguments; see --help")
		return exitUsage
	}
	if brokers != "" {
		o.Brokers = strings.Split(brokers, ",")
	}
	if o.Session == 0 {
		if o.Session = 1500 * time.Millisecond; brokers != "" {
			o.Session = 6 * time.Second
		}
	}
	res, err := play(ctx, o)
	if err != nil {
		fmt.Fprintln(errs, "bank:", err)
		return exitFailed
	}
	if asJSON {
		err = json.NewEncoder(out).Encode(res)
	} else {
		err = res.write(out)
	}
	switch {
	case err != nil:
		fmt.Fprintln(errs, "bank:", err)
		return exitFailed
	case res.Verdict == violated:
		return exitViolated
	case res.Verdict == inconclusive:
		return exitInconclusive
	}
	return 0
}
