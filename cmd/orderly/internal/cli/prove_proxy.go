package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
)

// proxyOptions are what "orderly prove proxy" was asked.
type proxyOptions struct {
	upstream, listen           string
	expose, upstreamTLS, json  bool
	upstreamCA, authority, seq string
	faults                     []string
	schedule, record           string
	seed                       uint64
}

func newProveProxy(s Streams) *cobra.Command {
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "proxy --upstream HOST:PORT [--fault KIND:SETTINGS]...",
		Short: "Stand between clients and a cluster, and make faults",
		Long: `proxy stands between any Kafka client and any cluster, and makes faults: it loses an answer, refuses a batch, sends one
twice. Clients connect to the address that it prints, and never learn the brokers' own: what they write is written to the
cluster, with the faults' consequences. Without --fault and --schedule it only passes and counts.

A fault is KIND:SETTING=VALUE,... It strikes the batch that covers a record of its share, chosen by --seed: the same
records in each run, however they fall into batches. --seq says where a record's number is; without it records are known
by their writer's sequence, which only an idempotent producer has.

  lost-ack            the broker appends; the connection is cut instead of the answer
  silent-ack          the broker appends; the connection stays open and silent
  cut                 the connection is cut before the broker has the batch
  refuse              the client gets error= (default 6, NOT_LEADER); the broker never has the batch. 6, 7, 19, 56 are
                      errors that clients retry; 87 and 10 are not
  error-after-append  the broker appends; the client gets error= (default 20)
  hold                the connection is cut; the broker gets the request late, when after= batches of the partition have
                      been acknowledged (default 1), or for= is over (default 10s)
  replay              the broker gets the identical bytes once more, after= further batches later (default 0)
  delay               the request and those behind it wait for=
  fetch-error         a consumer gets error= (default 6) instead of the fetched batch
  drop-heartbeat      heartbeats are answered and not passed on: the group takes a member for dead that takes itself for alive
  coordinator-error   requests to a coordinator get error= (default 16, NOT_COORDINATOR)

Settings: share= of the records (1%, 1/200), times= each is struck (default 1), topic=, client=, error= (code or name).
The last two kinds, and lost-ack, silent-ack, cut, hold and delay with api= (OffsetCommit, EndTxn, ...), strike requests by
count instead: of each client and group those from skip= on, times= of them, of group= (a group or a transactional id).

--record writes each fault that struck as a line of JSON. Given back with --schedule it strikes the same records.

TLS towards clients has an authority of its own (--tls-authority); user names and passwords (SASL PLAIN, SCRAM) pass. A
cluster that asks for clients' certificates, or for Kerberos, cannot be tried this way: exit 4.

It runs until Ctrl-C, and then prints what came and what struck; with --json as one object: clients, faults, nodes,
obstacles, troubles.`,
		Example: `  orderly prove proxy --upstream localhost:9092 --fault lost-ack:share=1% --seq .n --record faults.jsonl
  orderly prove proxy --upstream localhost:9092 --schedule faults.jsonl --seq .n
  orderly prove proxy --upstream localhost:9092 --fault drop-heartbeat:client=worker-1,skip=10,times=100`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.upstream, "upstream", "", "brokers of the cluster, host:port,...; the others are found")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address for clients; port 0 takes a free one, with another broker n is n+1 ports above it")
	f.BoolVar(&o.expose, "expose", false, "allow an address that other machines reach: all of them can then write to the cluster")
	f.StringArrayVar(&o.faults, "fault", nil, "`KIND:SETTINGS`; may be repeated")
	f.StringVar(&o.schedule, "schedule", "", "`file` of --record: strike the same once more")
	f.StringVar(&o.record, "record", "", "write each fault that struck to this `file`")
	f.Uint64Var(&o.seed, "seed", 0, "decides which records are struck (default: another one each time)")
	f.StringVar(&o.seq, "seq", "", "`where` a record's number is: a field of its JSON value (.n), the value (.), or a header (header:n)")
	f.BoolVar(&o.upstreamTLS, "upstream-tls", false, "TLS towards the brokers")
	f.StringVar(&o.upstreamCA, "upstream-tls-ca", "", "PEM `file` of who vouches for them (default: the system's)")
	f.StringVar(&o.authority, "tls-authority", "", "TLS towards clients: the `file` to write the authority's certificate to, which they have to trust")
	f.BoolVar(&o.json, "json", false, "print the facts as one JSON object at the end")
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		if o.upstream == "" {
			return usagef("%q needs --upstream: a broker of the cluster", cmd.CommandPath())
		}
		if !f.Changed("seed") {
			o.seed = rand.Uint64N(1_000_000)
		}
		return proxyWords(runProxy(cmd.Context(), o, s))
	})
	return cmd
}

// proxyWords gives the proxy's errors their exit codes.
func proxyWords(err error) error {
	if is[*proxy.Obstacle](err) {
		return &codeError{exitInconclusive, err.Error()}
	}
	if is[*proxy.FaultError](err) {
		return &codeError{exitUsage, err.Error()}
	}
	if is[*proxy.UpstreamError](err) {
		return &codeError{exitRefused, err.Error() + "; is it the right address (--upstream), and does it want TLS (--upstream-tls)?"}
	}
	return err
}

func runProxy(ctx context.Context, o proxyOptions, s Streams) (err error) {
	cfg := proxy.Config{Upstream: strings.Split(o.upstream, ","), Listen: o.listen, Expose: o.expose, Seed: o.seed}
	if cfg.Faults, err = o.chosen(); err != nil {
		return err
	}
	if o.seq != "" {
		if cfg.Identify, err = proxy.NumberAt(o.seq); err != nil {
			return usagef("--seq: %v", err)
		}
	}
	if err := o.secure(&cfg); err != nil {
		return err
	}
	record, err := o.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	var failed error // of writing to it; told of by one hit after the other
	cfg.OnHit = func(h *proxy.Hit) {
		if failed == nil {
			failed = proxy.WriteHit(record, h)
		}
	}
	p, err := proxy.Start(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "listening on", p.Addr())
	fmt.Fprintf(s.Err, "proxy: in front of %s; seed %d; Ctrl-C ends it\n", o.upstream, o.seed)
	<-ctx.Done()
	err = p.Close()
	facts := p.Facts()
	if o.json {
		err = errors.Join(err, printJSON(s.Out, facts))
	} else {
		writeFacts(s.Err, &facts)
	}
	if failed != nil {
		err = errors.Join(err, fmt.Errorf("--record: %w", failed))
	}
	if len(facts.Obstacles) > 0 {
		err = errors.Join(err, facts.Obstacles[0])
	}
	return err
}

// chosen are the faults of --fault and --schedule.
func (o *proxyOptions) chosen() (faults []proxy.Fault, err error) {
	for _, text := range o.faults {
		f, err := proxy.ParseFault(text)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	if o.schedule == "" {
		return faults, nil
	}
	file, err := os.Open(o.schedule)
	if err != nil {
		return nil, usagef("--schedule: %v", err)
	}
	defer func() { _ = file.Close() }()
	more, err := proxy.ReadSchedule(file)
	if err == nil && len(more) == 0 {
		err = usagef("--schedule: %s has no faults", o.schedule)
	}
	return append(faults, more...), err
}

// secure sets up TLS on both sides.
func (o *proxyOptions) secure(cfg *proxy.Config) error {
	if o.upstreamTLS || o.upstreamCA != "" {
		cfg.UpstreamTLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.upstreamCA != "" {
		text, err := os.ReadFile(o.upstreamCA)
		if err != nil {
			return usagef("--upstream-tls-ca: %v", err)
		}
		cfg.UpstreamTLS.RootCAs = x509.NewCertPool()
		if !cfg.UpstreamTLS.RootCAs.AppendCertsFromPEM(text) {
			return usagef("--upstream-tls-ca: %s has no certificate in it", o.upstreamCA)
		}
	}
	if o.authority == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return usagef("--listen %q: an address is host:port", o.listen)
	}
	own, ca, err := proxy.NewAuthority(host)
	if err != nil {
		return err
	}
	cfg.TLS = own
	if err := os.WriteFile(o.authority, ca, 0o644); err != nil {
		return fmt.Errorf("--tls-authority: %w", err)
	}
	return nil
}

// open opens the file of --record; without one what is written is gone.
func (o *proxyOptions) open() (io.WriteCloser, error) {
	if o.record == "" {
		return discard{}, nil
	}
	if o.schedule != "" {
		a, err1 := os.Stat(o.schedule)
		b, err2 := os.Stat(o.record)
		if err1 == nil && err2 == nil && os.SameFile(a, b) {
			return nil, usagef("--record is the file of --schedule, and would empty it")
		}
	}
	file, err := os.Create(o.record)
	if err != nil {
		return nil, fmt.Errorf("--record: %w", err)
	}
	return file, nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

func writeFacts(w io.Writer, f *proxy.Facts) {
	for _, c := range f.Clients {
		fmt.Fprintf(w, "proxy: client %q: %s, produced %s in %s (with those sent again), fetched %s\n", c.Client, plural.Of(c.Connections, "connection"),
			plural.Of(c.ProducedRecords, "record"), plural.Of(c.ProducedBatches, "batch"), plural.Of(c.FetchedRecords, "record"))
	}
	for _, c := range f.Counts {
		fmt.Fprintf(w, "proxy: fault %s: struck %s, for %d that were chosen\n", faultWords(&c.Fault), plural.Of(c.Requests, "request"), c.Chosen)
		if c.Impossible > 0 {
			fmt.Fprintf(w, "proxy: fault %s: %s could not be struck: acks=0 has no answer\n", c.Fault.Kind, plural.Of(c.Impossible, "request"))
		}
	}
	if f.Unknowable > 0 {
		fmt.Fprintf(w, "proxy: warning: %s could not be chosen, without a number (--seq) and of a writer that is not idempotent\n", plural.Of(f.Unknowable, "record"))
	}
	if f.Unreadable > 0 {
		fmt.Fprintf(w, "proxy: warning: %s could not be looked into, and passed\n", plural.Of(f.Unreadable, "batch"))
	}
	for _, text := range f.Troubles {
		fmt.Fprintf(w, "proxy: warning: %s\n", text)
	}
}

func faultWords(f *proxy.Fault) string {
	words := string(f.Kind)
	if f.API != "" {
		words += " of " + f.API
	}
	if f.Error != 0 {
		words += fmt.Sprintf(" (error %d", f.Error)
		if e := kerr.TypedErrorForCode(f.Error); e != nil {
			words += " " + e.Message
		}
		words += ")"
	}
	if f.For != 0 {
		words += " for " + f.For.Round(time.Millisecond).String()
	}
	return words
}
