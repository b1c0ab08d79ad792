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

// onKafka are the packages with tests that use real Kafka where there is some:
// they run once without, on the embedded broker, and once with it.
var onKafka = []string{
	"github.com/orderly-go/orderly",
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
	tags  string
	rapid bool
	kafka bool   // on real Kafka
	only  string // the pattern of the tests, where not all are run
	pkgs  []string
}

// label tells the batch's lines from those of the same packages in another.
func (b batch) label() string {
	if b.kafka {
		return "real Kafka"
	}
	return b.tags
}

// batches splits one module's packages by the flags that they need.
func batches(module string, plain, virtual []testPackage) []batch {
	var out []batch
	var twice []testPackage
	only := make(map[string][]testPackage)
	for _, p := range plain {
		if pattern, ok := onKafkaOnly[p.path]; ok {
			only[pattern] = append(only[pattern], p)
		} else if slices.Contains(onKafka, p.path) {
			twice = append(twice, p)
		}
	}
	type set struct {
		tags  string
		kafka bool
		only  string
		pkgs  []testPackage
	}
	sets := []set{{pkgs: plain}, {tags: virtualTag, pkgs: virtual}, {kafka: true, pkgs: twice}}
	for _, pattern := range slices.Sorted(maps.Keys(only)) {
		sets = append(sets, set{kafka: true, only: pattern, pkgs: only[pattern]})
	}
	for _, set := range sets {
		for _, rapid := range []bool{false, true} {
			b := batch{tags: set.tags, kafka: set.kafka, only: set.only, rapid: rapid}
			for _, p := range set.pkgs {
				if p.module == module && p.rapid == rapid {
					b.pkgs = append(b.pkgs, p.path)
				}
			}
			if len(b.pkgs) > 0 {
				out = append(out, b)
			}
		}
	}
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
