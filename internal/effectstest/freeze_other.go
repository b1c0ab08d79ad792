//go:build !unix

package effectstest

import "testing"

func (p *process) freeze(t *testing.T) {
	t.Helper()
	t.Fatal("no process can be frozen on this system: leave Freezes out")
}

func (p *process) thaw(*testing.T) {}

func (p *process) dump() {}
