package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// virtualTag builds franz-go with mutexes that testing/synctest can see
	// as blocked; without it virtual time stands still.
	virtualTag = "synctests"

	rapidPath = "pgregory.net/rapid"
)

// rootModule has most of the tests.
const rootModule = "github.com/orderly-go/orderly"

// onKafka are the packages with tests that use real Kafka where there is some:
// they run once without, on the embedded broker, and once with it.
var onKafka = []string{
	rootModule,
	"github.com/orderly-go/orderly/cmd/orderly/internal/audit",
	"github.com/orderly-go/orderly/cmd/orderly/internal/cluster",
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect",
	"github.com/orderly-go/orderly/cmd/orderly/internal/logcheck",
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove",
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy",
	"github.com/orderly-go/orderly/internal/kafkatest",
	"github.com/orderly-go/orderly/examples/bank",
	"github.com/orderly-go/orderly/internal/matrix",
	"github.com/orderly-go/orderly/internal/takeover",
	"github.com/orderly-go/orderly/store/postgres/internal/crashmatrix",
}

// onKafkaOnly are the tests of such packages whose others have a broker of their own
// in any case: once is enough for those.
var onKafkaOnly = map[string]string{
	"github.com/orderly-go/orderly/cmd/orderly/internal/prove": "^TestRealKafka$",
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy": "^TestRealKafka$",
}

// withGoroutines are packages that take long under the race detector and start no
// goroutine, but for the tests that match: those run under it, and all run without it,
// which is several times faster. Nothing else of such a package could race.
var withGoroutines = map[string]string{
	"github.com/orderly-go/orderly/cmd/orderly/internal/explain": "^TestFollow$",
	"github.com/orderly-go/orderly/internal/breaker":             "",
	"github.com/orderly-go/orderly/internal/history":             "^TestRecorderNumbersConcurrentEvents$",
	"github.com/orderly-go/orderly/internal/parking":             "",
}

// goEnv is what "go env -json" says of this machine and workspace.
type goEnv struct {
	GOWORK string
	CGO    string `json:"CGO_ENABLED"`
	CC     string
}

// root is the folder of go.work, where all commands run.
func (e goEnv) root() string { return filepath.Dir(e.GOWORK) }

func readGoEnv() (goEnv, error) {
	var env goEnv
	out, err := goOutput("", "env", "-json", "GOWORK", "CGO_ENABLED", "CC")
	if err != nil {
		return env, err
	}
	if err := json.Unmarshal(out, &env); err != nil {
		return env, fmt.Errorf("go env: %w", err)
	}
	if env.GOWORK == "" || env.GOWORK == "off" {
		return env, errors.New("no go.work: run testall from a checkout of orderly, with GOWORK unset")
	}
	return env, nil
}

// listed is one entry of "go list -test -json".
type listed struct {
	ImportPath   string
	ForTest      string
	Name         string
	Deps         []string
	TestGoFiles  []string
	XTestGoFiles []string
	Module       *struct{ Path string }
}

// A testPackage is what has to be known of a package to run its tests.
type testPackage struct {
	path      string
	module    string
	testFiles []string
	rapid     bool // its test binary knows rapid's flags
}

// listPackages lists all packages of the workspace as they are with these build tags.
func listPackages(root, tags string) ([]testPackage, error) {
	// -e: a package that does not compile is for go vet and go test to
	// report, and no reason not to test the others.
	out, err := goOutput(root, "list", "-e", "-test", "-tags="+tags,
		"-json=ImportPath,ForTest,Name,Deps,TestGoFiles,XTestGoFiles,Module", "work")
	if err != nil {
		return nil, err
	}
	return parsePackages(bytes.NewReader(out))
}

// parsePackages joins the two entries that matter of each package: itself, and
// its test binary, "path.test".
func parsePackages(r io.Reader) ([]testPackage, error) {
	var pkgs []testPackage
	rapid := make(map[string]bool)
	for dec := json.NewDecoder(r); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		path, isTest := strings.CutSuffix(l.ImportPath, ".test")
		switch {
		case isTest && l.Name == "main":
			rapid[path] = slices.Contains(l.Deps, rapidPath)
		case l.ForTest == "" && l.Module != nil:
			pkgs = append(pkgs, testPackage{
				path:      l.ImportPath,
				module:    l.Module.Path,
				testFiles: append(l.TestGoFiles, l.XTestGoFiles...),
			})
		}
	}
	for i := range pkgs {
		pkgs[i].rapid = rapid[pkgs[i].path]
	}
	return pkgs, nil
}

// virtual returns the packages that have tests only with virtualTag.
func virtual(plain, tagged []testPackage) []testPackage {
	files := make(map[string][]string)
	for _, p := range plain {
		files[p.path] = p.testFiles
	}
	var out []testPackage
	for _, p := range tagged {
		without := files[p.path]
		if slices.ContainsFunc(p.testFiles, func(f string) bool { return !slices.Contains(without, f) }) {
			out = append(out, p)
		}
	}
	return out
}

// A batch is one "go test": packages of one module with the same flags.
type batch struct {
	module string
	tags   string
	rapid  bool
	noRace bool   // without the race detector, see withGoroutines
	kafka  bool   // on real Kafka
	only   string // the pattern of the tests, where not all are run
	pkgs   []string
}

// label tells the batch's lines from those of the same packages in another.
func (b batch) label() string {
	switch {
	case b.kafka:
		return "real Kafka"
	case b.noRace:
		return "no race detector"
	}
	return b.tags
}

// batches splits one module's packages by the flags that they need.
func batches(module string, plain, virtual []testPackage) []batch {
	var out []batch
	add := func(b batch, pkgs []testPackage) {
		b.module = module
		for _, b.rapid = range []bool{false, true} {
			b.pkgs = nil
			for _, p := range pkgs {
				if p.module == module && p.rapid == b.rapid {
					b.pkgs = append(b.pkgs, p.path)
				}
			}
			if len(b.pkgs) > 0 {
				out = append(out, b)
			}
		}
	}
	addOnly := func(b batch, by map[string][]testPackage) {
		for _, b.only = range slices.Sorted(maps.Keys(by)) {
			add(b, by[b.only])
		}
	}
	var raced, unraced, twice []testPackage
	racedOnly, kafkaOnly := make(map[string][]testPackage), make(map[string][]testPackage)
	for _, p := range plain {
		pattern, ok := withGoroutines[p.path]
		if ok {
			unraced = append(unraced, p)
		} else {
			raced = append(raced, p)
		}
		if pattern != "" {
			racedOnly[pattern] = append(racedOnly[pattern], p)
		}
		if pattern, ok := onKafkaOnly[p.path]; ok {
			kafkaOnly[pattern] = append(kafkaOnly[pattern], p)
		} else if slices.Contains(onKafka, p.path) {
			twice = append(twice, p)
		}
	}
	add(batch{}, raced)
	add(batch{noRace: true}, unraced)
	addOnly(batch{}, racedOnly)
	add(batch{tags: virtualTag}, virtual)
	add(batch{kafka: true}, twice)
	addOnly(batch{kafka: true}, kafkaOnly)
	return out
}

// listModules returns the paths of the workspace's modules in the order of go.work.
func listModules(root string) ([]string, error) {
	out, err := goOutput(root, "list", "-m")
	return strings.Fields(string(out)), err
}

func goOutput(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}
