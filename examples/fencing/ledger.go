// Package fencing shows a sink that refuses a late writer: one whose partition has
// another owner by now, and who does not know it yet, as after it was frozen or cut off.
//
// The sink is here a type in memory. What matters is what it does in one step: compare
// the token, compare the record's offset, apply the effect, and keep all three.
package fencing

import (
	"fmt"
	"sync"
)

// A Place is where a record stands, and under which ownership it is handled.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
	Token     int64 // Message.FencingToken
}

// A LateWriterError refuses a writer whose partition has another owner.
type LateWriterError struct{ Token, Current int64 }

// Error names both tokens.
func (e *LateWriterError) Error() string {
	return fmt.Sprintf("the partition has another owner: token %d, and %d has been here", e.Token, e.Current)
}

// A Ledger adds amounts to accounts.
type Ledger struct {
	mu      sync.Mutex
	tokens  map[partition]int64 // the highest that has been here
	applied map[account]int64   // the last offset whose effect it has
	sums    map[string]int64
}

type partition struct {
	topic  string
	number int32
}

type account struct {
	partition
	name string
}

// NewLedger returns an empty one.
func NewLedger() *Ledger {
	return &Ledger{tokens: map[partition]int64{}, applied: map[account]int64{}, sums: map[string]int64{}}
}

// Announce keeps the token of an owner before its first effect. Whoever was the owner
// before writes nothing from then on, not even a record that the new one has not come to.
func (l *Ledger) Announce(topic string, number int32, token int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fence(partition{topic, number}, token)
}

func (l *Ledger) fence(p partition, token int64) error {
	if current := l.tokens[p]; token < current {
		return &LateWriterError{token, current}
	}
	l.tokens[p] = token
	return nil
}

// Add adds to an account, once for each record. A repeat changes nothing.
func (l *Ledger) Add(at Place, name string, cents int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := partition{at.Topic, at.Partition}
	if err := l.fence(p, at.Token); err != nil {
		return err
	}
	a := account{p, name}
	if last, ok := l.applied[a]; ok && at.Offset <= last {
		return nil // applied before a crash, and delivered again
	}
	l.applied[a] = at.Offset
	l.sums[name] += cents
	return nil
}

// Sum is what an account has.
func (l *Ledger) Sum(name string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sums[name]
}
