package demo

import (
	"bytes"
	_ "embed"
)

// The bundled sample: all changes of some hundred files of a public repository.
// Package gen makes it.
//
//go:embed sample/changes.jsonl.gz
var sampleChanges []byte

//go:embed sample/truth.tsv.gz
var sampleTruth []byte

// An Input is a change history and how it must end.
type Input struct {
	Name    string
	Changes []Change
	Truth   Truth
}

// Keys is the number of paths.
func (in *Input) Keys() int {
	n := 0
	for _, c := range in.Changes {
		if c.Seq == 1 {
			n++
		}
	}
	return n
}

// Sample gives the bundled history with its known truth.
func Sample() (*Input, error) {
	in := &Input{Name: "bundled sample"}
	var err error
	if in.Changes, err = ReadChanges(in.Name, bytes.NewReader(sampleChanges)); err != nil {
		return nil, err
	}
	in.Truth, err = ReadTruth(bytes.NewReader(sampleTruth))
	return in, err
}

// Load gives the history of a file; its truth is computed from it, in the order
// of the file.
func Load(path string) (*Input, error) {
	in := &Input{Name: path}
	var err error
	if in.Changes, err = ReadFile(path); err != nil {
		return nil, err
	}
	in.Truth, err = TruthOf(path, in.Changes)
	return in, err
}
