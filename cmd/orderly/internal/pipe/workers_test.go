package pipe

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// workers are those of docs/pipe-protocol.md.
var workers = []struct {
	language string // of the code block
	probe    []string
	file     string
	command  []string
}{
	{"python", []string{"python3", "--version"}, "worker.py", []string{"python3"}},
	{"js", []string{"node", "--version"}, "worker.js", []string{"node"}},
	{"java", []string{"java", "-version"}, "Worker.java", []string{"java"}},
	{"bash", []string{"bash", "--version"}, "worker.sh", []string{"bash"}},
}

// runs says whether the machine has the language. Where it has not, testall says
// aloud what is not covered, and where everything is required the test fails.
func runs(t *testing.T, probe []string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := exec.CommandContext(ctx, probe[0], probe[1:]...).Run()
	if err != nil && (os.Getenv("CI") == "true" || os.Getenv("ORDERLY_REQUIRE_ALL") == "1") {
		t.Fatalf("%s cannot be started: %v (CI=true or ORDERLY_REQUIRE_ALL=1 requires it)", probe[0], err)
	}
	if err != nil {
		t.Logf("NOT COVERED: the worker in %s: %v", probe[0], err)
	}
	return err == nil
}

func TestWorkersOfThePage(t *testing.T) {
	for _, w := range workers {
		t.Run(w.language, func(t *testing.T) {
			t.Parallel()
			if !runs(t, w.probe) {
				return
			}
			said := new(words)
			p, err := NewPool(Options{Command: append(w.command, filepath.Join("testdata", "workers", w.file)),
				Workers: 1, Stderr: said, Log: slog.New(slog.DiscardHandler), Grace: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				// Line separators of other alphabets, and a line that no pipe takes at once.
				good := fmt.Sprintf("{\"n\": %d, \"text\": \"é\u2028\u0085 %s\"}", i, strings.Repeat("x", 100_000*i))
				if err := p.Handle(t.Context(), message(good)); err != nil {
					t.Error(err)
				}
				if err := p.Handle(t.Context(), message("broken")); err == nil || p.free[0].w == nil {
					t.Errorf("a record that fails: %v, and the worker goes on: %v", err, p.free[0].w != nil)
				}
			}
			worker := p.free[0].w
			p.Close()
			if !worker.cmd.ProcessState.Success() {
				t.Errorf("it did not end by itself when it had no more input: %v", worker.cmd.ProcessState)
			}
			if !strings.Contains(said.String(), "k") {
				t.Errorf("its log is not on standard error: %q", said)
			}
		})
	}
}

// The page shows the very files that the test runs.
func TestThePageShowsTheWorkers(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../../../docs/pipe-protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "\r\n", "\n")
	shown := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		shown[m[1]] = m[2]
	}
	for _, w := range workers {
		code, err := os.ReadFile(filepath.Join("testdata", "workers", w.file))
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(string(code), "\r\n", "\n"); shown[w.language] != want {
			t.Errorf("docs/pipe-protocol.md shows another %s than the file %s", w.language, w.file)
		}
	}
}
