//go:build synctests

package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
)

const (
	seeds     = 200
	soakSeeds = 5000
	// stuckAfter is real time: a bubble whose clock stands still for so long will
	// not move again.
	stuckAfter = 3 * time.Minute
)

// TestSeeds runs random schedules of faults. Every history has to hold, and in the
// end every record is done.
func TestSeeds(t *testing.T) {
	// Each seed makes a cluster and drops it: with the default a third of the time
	// goes into collecting garbage.
	was := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(was) })
	if s := os.Getenv("ORDERLY_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("ORDERLY_SEED is a number: %v", err)
		}
		t.Run(s, func(t *testing.T) { runSeed(t, seed, nil) })
		return
	}
	n := seeds
	if os.Getenv("ORDERLY_SOAK") == "1" {
		n = soakSeeds
	}
	base := rand.Uint64() >> 16
	t.Logf("seeds %d to %d", base, base+uint64(n)-1)
	var failed atomic.Bool // one failing seed is enough to look at
	cover := &coverage{seen: make(map[string]int)}
	t.Cleanup(func() {
		if !failed.Load() {
			cover.check(t)
		}
	})
	for i := range n {
		seed := base + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if !failed.Load() {
				defer func() {
					if t.Failed() {
						failed.Store(true)
					}
				}()
				runSeed(t, seed, cover)
			}
		})
	}
}

// runSeed runs one seed; a failing one leaves its history and log behind.
func runSeed(t *testing.T, seed uint64, cover *coverage) {
	watchdog := time.AfterFunc(stuckAfter, func() {
		buf := make([]byte, 16<<20)
		fmt.Fprintf(os.Stderr, "seed %d: virtual time stands still; it waits for these goroutines:\n", seed)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if head, _, _ := strings.Cut(g, "\n"); strings.Contains(head, "bubble") && !strings.Contains(head, "durable") {
				fmt.Fprintf(os.Stderr, "%s\n\n", g)
			}
		}
		os.Exit(2)
	})
	defer watchdog.Stop()
	p := newPlan(seed)
	var w *world
	defer func() { // a bubble that fails does not return
		if t.Failed() && w != nil {
			t.Log(save(seed, p.scope, w))
		}
	}()
	synctest.Test(t, func(t *testing.T) { carryOut(t, p, &w) })
	if cover != nil {
		cover.add(w)
	}
}

// save writes a failing history and the members' log, and says how to go on.
func save(seed uint64, scope orderly.Scope, w *world) string {
	dir := filepath.Join("..", "..", ".history")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err.Error()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err.Error()
	}
	name := filepath.Join(dir, fmt.Sprintf("seed-%d", seed))
	if scope == orderly.ScopePartition {
		name += partitionScope
	}
	var log bytes.Buffer
	if _, err := w.logText.WriteTo(&log); err != nil {
		return err.Error()
	}
	if err := os.WriteFile(name+".log", log.Bytes(), 0o644); err != nil {
		return err.Error()
	}
	if err := history.Save(name+".jsonl", w.h.events()); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("history and log: %s.jsonl, .log\nrun it again:   ORDERLY_SEED=%d go test -tags synctests -run '^TestSeeds$' ./internal/sim\n"+
		"check it again: ORDERLY_HISTORY=%s.jsonl go test -tags synctests -run '^TestSavedHistory$' ./internal/sim", name, seed, name)
}

const partitionScope = "-partition-scope"

// TestSavedHistory checks the history file that ORDERLY_HISTORY names; without
// one there is nothing to check.
func TestSavedHistory(t *testing.T) {
	path := os.Getenv("ORDERLY_HISTORY")
	if path == "" {
		return
	}
	events, err := history.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	opt := history.Options{Complete: true, AllowVacuous: true}
	if strings.Contains(filepath.Base(path), partitionScope) {
		opt.Scope = history.ScopePartition
	}
	rep := history.Check(events, opt)
	t.Log(rep)
	if err := rep.Err(); err != nil {
		t.Error(err)
	}
	for _, s := range superseded(events) {
		t.Error(s)
	}
}
