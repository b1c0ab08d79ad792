package orderly_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Who adds this library to a program gets franz-go and the standard library, and
// nothing else: no dependency of ours may ever force an upgrade on a user.
const (
	modulePath  = "github.com/orderly-go/orderly"
	franzPath   = "github.com/twmb/franz-go"
	kgoPath     = franzPath + "/pkg/kgo"
	fakePath    = franzPath + "/pkg/kfake"
	testingPath = modulePath + "/orderlytest"
)

var allowedDeps = []string{
	modulePath,
	franzPath,
	// What franz-go itself imports, to decompress.
	"github.com/klauspost/compress",
	"github.com/pierrec/lz4/v4",
}

// pureCores are tested without Kafka, by models and by the million, and stay so.
var pureCores = []string{
	modulePath + "/internal/breaker",
	modulePath + "/internal/effects",
	modulePath + "/internal/guard",
	modulePath + "/internal/history",
	modulePath + "/internal/lane",
	modulePath + "/internal/parking",
	modulePath + "/internal/progress",
	modulePath + "/internal/produce",
}

// kgoUsers may import the client: all of the consumer's Kafka is in internal/group;
// the root has the producer, and the type of pass-through options.
var kgoUsers = []string{
	modulePath,
	modulePath + "/internal/embedded", // only a broker of tests and of the command has it
	modulePath + "/internal/group",
	modulePath + "/internal/parked",
	modulePath + "/internal/parkinglog",
	testingPath,
}

func TestDepsOfPublishedPackages(t *testing.T) {
	var published []string
	for _, path := range goList(t, `{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, "./...") {
		if !within(path, modulePath+"/internal") && !strings.Contains(path, "/internal/") {
			published = append(published, path)
		}
	}
	if !slices.Contains(published, modulePath) {
		t.Fatalf("the root package is not among the published packages %v: this test no longer finds them", published)
	}
	for _, path := range published {
		for _, dep := range depsOf(t, path) {
			switch {
			case !slices.ContainsFunc(allowedDeps, func(a string) bool { return within(dep, a) }):
				t.Errorf("%s depends on %s: published packages of the root module may depend on the standard library and franz-go only. "+
					"Move what needs it into a module of its own (as store/postgres), or do without it", path, dep)
			case within(dep, fakePath) && !within(path, testingPath):
				t.Errorf("%s depends on %s, a fake broker, which would be linked into users' programs: "+
					"only orderlytest and tests may use it", path, dep)
			}
		}
	}
}

func TestDepsOfPureCores(t *testing.T) {
	for _, path := range pureCores {
		kafka := slices.DeleteFunc(depsOf(t, path), func(dep string) bool { return !within(dep, franzPath) })
		if len(kafka) > 0 {
			t.Errorf("%s depends on %s: it is a pure core, which knows no Kafka. "+
				"Pass in the values it needs, and leave the client to internal/group", path, strings.Join(kafka, ", "))
		}
	}
}

func TestDepsOnTheClient(t *testing.T) {
	for _, line := range goList(t, `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...") {
		fields := strings.Fields(line)
		path, imports := fields[0], fields[1:]
		if slices.Contains(imports, kgoPath) && !slices.Contains(kgoUsers, path) {
			t.Errorf("%s imports %s: only %s may. Let it use one of these", path, kgoPath, strings.Join(kgoUsers, ", "))
		}
	}
}

// within says whether path is the module or package root, or below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// depsOf are the import paths, outside the standard library, that a program
// gets with this package.
func depsOf(t *testing.T, path string) []string {
	t.Helper()
	return goList(t, `{{if not .Standard}}{{.ImportPath}}{{end}}`, "-deps", path)
}

func goList(t *testing.T, format string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-f", format}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}
