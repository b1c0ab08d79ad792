package effectstest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/orderly-go/orderly"
)

const (
	deadlyEnv = "ORDERLY_EFFECTSTEST_DEADLY"
	// deaths is how many processes in a row a deadly change may end while nothing is
	// applied. Two unclean ends at one watermark have records run alone, and one that ended
	// alone is parked; the watermark may still have been behind what was applied. As long as
	// something is applied it moves from one end to the next.
	deaths = 5
	// reserved is how many of a scene's kills its deadly change stands for.
	reserved = 3
)

// A deadly change is one at which its process is killed, again and again, until it is
// given up. It lives in a directory: which one it is, a file for each call of its handler,
// and whether it is mended.
type deadly struct {
	dir string
	change
}

func (d *deadly) file(name string) string { return filepath.Join(d.dir, name) }

// plant chooses a change, with others of its path behind it, among the first ones.
func plant(t *testing.T, rnd *rand.Rand, changes []change, first int) *deadly {
	t.Helper()
	behind := make(map[string]int)
	for _, c := range changes {
		behind[c.Path]++
	}
	d := &deadly{dir: t.TempDir()}
	for d.change = changes[rnd.IntN(first)]; behind[d.Path]-d.Seq < 3; {
		d.change = changes[rnd.IntN(first)]
	}
	text, err := json.Marshal(d.change)
	must(t, err)
	must(t, os.WriteFile(d.file("change"), text, 0o600))
	t.Setenv(deadlyEnv, d.dir)
	t.Logf("the deadly change is number %d of %s", d.Seq, d.Path)
	return d
}

// planted is the deadly change, in a consumer's process.
func planted(dir string) (*deadly, error) {
	d := &deadly{dir: dir}
	text, err := os.ReadFile(d.file("change"))
	if err == nil {
		err = json.Unmarshal(text, &d.change)
	}
	return d, err
}

// spares says that changes of a path do not fail otherwise: until it is mended the deadly
// one is not to be parked behind another one. A parked record whose release ends the
// process is released again by the next owner: docs/guarantees.md.
func (d *deadly) spares(m *orderly.Message) bool {
	if string(m.Key) != d.Path {
		return false
	}
	_, err := os.Stat(d.file("mended"))
	return err != nil
}

// call waits to be killed when it is called for the change.
func (d *deadly) call(m *orderly.Message) {
	var c change
	if !d.spares(m) || json.Unmarshal(m.Value, &c) != nil || c.Seq != d.Seq {
		return
	}
	pid := strconv.Itoa(os.Getpid())
	if err := os.WriteFile(d.file("pid-"+pid), nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	select {}
}

// victim is the process that is with the change; -1: there is none.
func (d *deadly) victim(running []*process) (at int) {
	for i, p := range running {
		if _, err := os.Stat(d.file(fmt.Sprint("pid-", p.cmd.Process.Pid))); err == nil {
			return i
		}
	}
	return -1
}

// strike kills each process that is with the change, until that is parked, and mends it.
func (d *deadly) strike(t *testing.T, wait func(is func(running []*process) bool), kill func(at int), parked func() bool, applied func() int) {
	t.Helper()
	last := -1
	for died, idle := 0, 0; ; died++ {
		at := -1
		wait(func(running []*process) bool {
			at = d.victim(running)
			return at >= 0 || parked()
		})
		if at < 0 {
			t.Logf("the deadly change is parked after %d deaths", died)
			must(t, os.WriteFile(d.file("mended"), nil, 0o600))
			return
		}
		now := applied()
		t.Logf("the deadly change ends a process when %d changes are applied", now)
		if idle++; now > last {
			last, idle = now, 0
		}
		if idle > deaths {
			t.Fatalf("the deadly change has ended %d processes, the last %d without progress, and is not parked", died, idle)
		}
		kill(at)
	}
}
