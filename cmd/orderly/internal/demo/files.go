package demo

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A File is what is known of a file that exists.
type File struct {
	Commit  string // the last one that changed it
	Changes int    // that it had, those before a deletion included
}

// Files is the table that the changes are applied to: the sink of the demo.
type Files struct {
	live    map[string]File
	changes map[string]int
}

// NewFiles gives an empty table.
func NewFiles() *Files { return &Files{live: map[string]File{}, changes: map[string]int{}} }

// Apply applies one change. The rule of the domain: a file can be added only
// while it does not exist, and modified or deleted only while it does. A change
// that breaks it is refused and changes nothing.
func (f *Files) Apply(c Change) error {
	_, exists := f.live[c.Path]
	if exists == (c.Op == "A") {
		state := "does not exist"
		if exists {
			state = "exists"
		}
		return fmt.Errorf("change %d of %s is %s, but the file %s", c.Seq, c.Path, c.Op, state)
	}
	f.changes[c.Path]++
	if c.Op == "D" {
		delete(f.live, c.Path)
		return nil
	}
	f.live[c.Path] = File{Commit: c.Commit, Changes: f.changes[c.Path]}
	return nil
}

// Truth is how the table must end: the files that exist.
type Truth map[string]File

// TruthOf applies the changes in the order of the list.
func TruthOf(name string, changes []Change) (Truth, error) {
	f := NewFiles()
	for i, c := range changes {
		if err := f.Apply(c); err != nil {
			return nil, &InputError{Name: name, Line: i + 1, Text: err.Error() + ": this history cannot have happened"}
		}
	}
	return f.live, nil
}

// Differences gives the paths that end in another way than they must, sorted.
func (f *Files) Differences(t Truth) []string {
	var paths []string
	for path, file := range f.live {
		if want, ok := t[path]; !ok || want != file {
			paths = append(paths, path)
		}
	}
	for path := range t {
		if _, ok := f.live[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// ReadTruth reads lines of path, last commit and number of changes, with tabs
// between them; compressed or not.
func ReadTruth(r io.Reader) (Truth, error) {
	r, err := Decompressed(r)
	if err != nil {
		return nil, err
	}
	t := Truth{}
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		fields := strings.Split(sc.Text(), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("truth line %d has %d fields, not path, commit and changes", line, len(fields))
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("truth line %d: %w", line, err)
		}
		t[fields[0]] = File{Commit: fields[1], Changes: n}
	}
	return t, sc.Err()
}

// Write writes what ReadTruth reads, sorted by path.
func (t Truth) Write(w io.Writer) error {
	bw := bufio.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(bw, "%s\t%s\t%d\n", path, t[path].Commit, t[path].Changes)
	}
	return bw.Flush()
}
