package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Verdicts.
const (
	kept         = "kept"
	violated     = "violated"
	inconclusive = "inconclusive"
)

// A result is what --json prints.
type result struct {
	Format   int      `json:"format"`
	Verdict  string   `json:"verdict"`
	Reason   string   `json:"reason"`
	Seed     uint64   `json:"seed"`
	Records  int      `json:"records"`
	Accounts int      `json:"accounts"`
	Events   []string `json:"events"`
	Naive    bank     `json:"naive"`
	Orderly  bank     `json:"orderly"`
	Stalled  string   `json:"stalled,omitempty"` // what never came
	Seconds  float64  `json:"seconds"`
	Saved    string   `json:"saved,omitempty"` // databases and logs, of a run that was not kept
}

// A bank is what one of the two has in the end. Amounts are in cents.
type bank struct {
	Wrong    int   `json:"wrong_accounts"`
	Missing  int64 `json:"missing"`  // money that accounts have too little
	Invented int64 `json:"invented"` // and too much
	Total    int64 `json:"total"`
	Want     int64 `json:"want"`
}

// compare holds the accounts against the model.
func (k *bank) compare(ctx context.Context, b *books, model map[string]int64) error {
	have, err := b.balances(ctx)
	if err != nil {
		return err
	}
	for id, want := range model {
		k.Want += want
		k.Total += have[id]
		if d := have[id] - want; d != 0 {
			k.Wrong++
			k.Invented += max(d, 0)
			k.Missing += max(-d, 0)
		}
	}
	return nil
}

func (r *result) judge() {
	switch {
	case r.Stalled != "":
		r.Verdict, r.Reason = violated, "orderly or the machine stood still: "+r.Stalled
	case r.Orderly.Wrong > 0:
		r.Verdict, r.Reason = violated, fmt.Sprintf("orderly broke its promise: %d accounts have not what they must have", r.Orderly.Wrong)
	case r.Naive.Wrong == 0:
		r.Verdict, r.Reason = inconclusive, "orderly's accounts are right, but the naive consumer's are, too: this run shows nothing; run it again, or with another --seed"
	default:
		r.Verdict = kept
		r.Reason = fmt.Sprintf("each of the %d entries had its effect once and in order, and every account has what it must have. The naive consumer lost %s and made %s up, on %d of %d accounts.",
			r.Records, money(r.Naive.Missing), money(r.Naive.Invented), r.Naive.Wrong, r.Accounts)
	}
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

func (r *result) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tnaive\torderly\t")
	row := func(what string, of func(b bank) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", what, of(r.Naive), of(r.Orderly))
	}
	row("money in all accounts", func(b bank) string { return money(b.Total) })
	row("and there must be", func(b bank) string { return money(b.Want) })
	row("accounts with too much or too little", func(b bank) string { return fmt.Sprint(b.Wrong) })
	row("lost", func(b bank) string { return money(b.Missing) })
	row("made up", func(b bank) string { return money(b.Invented) })
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s: %s (%.1f s, seed %d)\n", strings.ToUpper(r.Verdict), r.Reason, r.Seconds, r.Seed)
	if err == nil && r.Saved != "" {
		_, err = fmt.Fprintf(out, "databases and logs are in %s\n", r.Saved)
	}
	return err
}
