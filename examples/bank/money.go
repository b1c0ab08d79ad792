package main

import (
	"fmt"
	"math/rand/v2"
)

// Kinds of entries.
const (
	deposit    = "deposit"
	withdrawal = "withdrawal"
	transfer   = "transfer" // of the whole amount of a deposit to another account
)

// An entry is a record: the key is the account. A withdrawal and a transfer draw a whole
// deposit of the same account, which has to be booked before.
type entry struct {
	Account string `json:"account"`
	Number  int    `json:"number"` // 1, 2, 3 ... of the account
	Kind    string `json:"kind"`
	Amount  int64  `json:"amount"` // in cents
	Draws   int    `json:"draws,omitempty"`
	To      string `json:"to,omitempty"`
}

const accounts = 60

// generate makes records and what each account has in the end. An account never draws
// on what others have sent it: order across accounts is not promised.
func generate(seed uint64, n int) (entries []entry, model map[string]int64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	type state struct {
		number int
		open   []entry // deposits that nothing has drawn
	}
	states := make([]state, accounts)
	name := func(i int) string { return fmt.Sprintf("account-%02d", i) }
	model = make(map[string]int64)
	for i := range accounts {
		model[name(i)] = 0
	}
	for range n {
		i := rnd.IntN(accounts)
		s := &states[i]
		s.number++
		e := entry{Account: name(i), Number: s.number, Kind: deposit}
		if len(s.open) == 0 || len(s.open) < 3 && rnd.IntN(100) < 40 {
			e.Amount = 100 + rnd.Int64N(100_000)
			s.open = append(s.open, e)
			model[e.Account] += e.Amount
		} else {
			drawn := s.open[0]
			s.open = s.open[1:]
			e.Kind, e.Amount, e.Draws = withdrawal, drawn.Amount, drawn.Number
			model[e.Account] -= e.Amount
			if rnd.IntN(3) == 0 {
				e.Kind, e.To = transfer, name((i+1+rnd.IntN(accounts-1))%accounts)
				model[e.To] += e.Amount
			}
		}
		entries = append(entries, e)
	}
	return entries, model
}
