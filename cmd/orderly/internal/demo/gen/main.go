// Command gen makes the sample that "orderly demo" bundles, from the full change
// history and its truth:
//
//	go run ./internal/demo/gen -changes FULL.jsonl.gz -truth TRUTH.tsv.gz -out internal/demo/sample
//
// in the folder cmd/orderly. It takes whole paths (all changes of each), so that
// the truth of the sample is a part of the full truth; it computes both by the
// demo's own rule and refuses to write a sample for which the two ways differ.
// The choice is by hash of the path: the same input gives the same files.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/orderly-go/orderly/cmd/orderly/internal/demo"
)

func main() {
	changes := flag.String("changes", "", "the full history, .jsonl or .jsonl.gz (`file`)")
	truth := flag.String("truth", "", "its end state, .tsv or .tsv.gz (`file`)")
	out := flag.String("out", "", "`folder` for changes.jsonl.gz and truth.tsv.gz")
	records := flag.Int("records", 5000, "about how many changes to take")
	flag.Parse()
	if *changes == "" || *truth == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*changes, *truth, *out, *records); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(changesFile, truthFile, out string, records int) error {
	full, err := demo.Load(changesFile)
	if err != nil {
		return err
	}
	f, err := os.Open(truthFile)
	if err != nil {
		return err
	}
	defer f.Close()
	known, err := demo.ReadTruth(f)
	if err != nil {
		return err
	}
	if !maps.Equal(known, full.Truth) {
		return fmt.Errorf("%s does not end as %s says", changesFile, truthFile)
	}

	chosen := choose(full.Changes, records)
	var sample []demo.Change
	for _, c := range full.Changes {
		if chosen[c.Path] {
			sample = append(sample, c)
		}
	}
	truth, err := demo.TruthOf("sample", sample)
	if err != nil {
		return err
	}
	maps.DeleteFunc(known, func(path string, _ demo.File) bool { return !chosen[path] })
	if !maps.Equal(known, truth) {
		return fmt.Errorf("the sample ends in another way than these paths do in %s", truthFile)
	}

	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, c := range sample {
		if err := enc.Encode(c); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(out, "changes.jsonl.gz"), func(w io.Writer) error { _, err := lines.WriteTo(w); return err }); err != nil {
		return err
	}
	if err := write(filepath.Join(out, "truth.tsv.gz"), truth.Write); err != nil {
		return err
	}
	fmt.Printf("%d changes of %d paths, %d of which exist at the end\n", len(sample), len(chosen), len(truth))
	return nil
}

// choose takes paths with several changes (order matters for no others), first
// of all some that were deleted and added again, until there are enough changes.
// None has so many that it alone would decide how long the demo takes.
func choose(changes []demo.Change, records int) map[string]bool {
	const fewest, most, again = 3, 100, 40
	count, added := map[string]int{}, map[string]int{}
	for _, c := range changes {
		count[c.Path]++
		if c.Op == "A" {
			added[c.Path]++
		}
	}
	var paths []string
	for path, n := range count {
		if n >= fewest && n <= most {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(hash(a), hash(b)), cmp.Compare(a, b))
	})
	chosen, taken, twice := map[string]bool{}, 0, 0
	take := func(path string) {
		chosen[path] = true
		taken += count[path]
	}
	for _, path := range paths {
		if added[path] > 1 && twice < again {
			twice++
			take(path)
		}
	}
	for _, path := range paths {
		if taken >= records {
			break
		}
		if !chosen[path] {
			take(path)
		}
	}
	return chosen
}

func hash(s string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, s)
	return h.Sum64()
}

func write(path string, fill func(io.Writer) error) error {
	var b bytes.Buffer
	zw, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := fill(zw); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
