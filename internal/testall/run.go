package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A runner runs the go commands of one run.
type runner struct {
	options
	root  string
	race  bool
	kafka *sharedKafka

	mu  sync.Mutex // of rep: two lanes write it
	rep *report
}

// tell writes what belongs together.
func (r *runner) tell(f func(rep *report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.rep)
}

func run(opts options, out io.Writer) int {
	start := time.Now()
	rep := &report{out: out}
	rep.printf("orderly tests: the first build takes about a minute; later ones take seconds\nseed %d (ORDERLY_SEED=%d repeats it)\n",
		opts.seed, opts.seed)
	if err := runAll(opts, rep); err != nil {
		rep.fail(1, err.Error(), "")
	}
	return rep.finish(opts.strict, time.Since(start))
}

func runAll(opts options, rep *report) error {
	env, err := readGoEnv()
	if err != nil {
		return err
	}
	absent := missing(requirements, env)
	for _, req := range requirements {
		if why, ok := absent[req.name]; ok {
			rep.gaps = append(rep.gaps, req.notCovered(why))
		}
	}
	_, noRace := absent[raceDetector]
	_, kafkaAbsent := absent[realKafka]
	r := &runner{options: opts, root: env.root(), race: !noRace, kafka: startKafka(kafkaAbsent), rep: rep}
	defer func() {
		if err := r.kafka.close(); err != nil {
			rep.fail(1, err.Error(), "")
		}
	}()

	modules, err := listModules(r.root)
	if err != nil {
		return err
	}
	plain, err := listPackages(r.root, "")
	if err != nil {
		return err
	}
	tagged, err := listPackages(r.root, virtualTag)
	if err != nil {
		return err
	}
	var all []batch
	for _, m := range modules {
		all = append(all, batches(m, plain, virtual(plain, tagged))...)
	}
	// The tests on real Kafka wait much, for brokers that die and sessions that end, and
	// only one package at a time has the shared node to itself: they run beside the others.
	var lanes sync.WaitGroup
	for _, kafka := range []bool{true, false} {
		lanes.Go(func() { r.lane(modules, all, kafka) })
	}
	lanes.Wait()
	return nil
}

// lane runs those batches that use real Kafka, or those that do not, one after the
// other.
func (r *runner) lane(modules []string, all []batch, kafka bool) {
	for _, m := range modules {
		start, label := time.Now(), m
		var bs []batch
		for _, b := range all {
			if b.module == m && b.kafka == kafka {
				bs = append(bs, b)
			}
		}
		if kafka {
			label += " [real Kafka]"
		} else {
			r.vetAll(m, bs)
		}
		n := 0
		for _, b := range bs {
			n += r.test(b)
		}
		if n > 0 {
			r.tell(func(rep *report) {
				rep.printf("--    module %s: %s in %s\n", label, plural(n, "test"), round(time.Since(start)))
			})
		}
	}
}

func (r *runner) vetAll(module string, bs []batch) {
	for _, tags := range []string{"", virtualTag} {
		var pkgs []string
		for _, b := range bs {
			if b.tags == tags && b.only == "" {
				pkgs = append(pkgs, b.pkgs...)
			}
		}
		if len(pkgs) > 0 {
			r.vet(module, tags, pkgs)
		}
	}
}

func (r *runner) vet(module, tags string, pkgs []string) {
	args := []string{"vet"}
	if tags != "" {
		args = append(args, "-tags="+tags)
	}
	cmd := r.command(append(args, pkgs...))
	if out, err := cmd.CombinedOutput(); err != nil {
		r.tell(func(rep *report) {
			rep.block(string(out))
			rep.fail(1, fmt.Sprintf("go vet in %s (%v)", module, err),
				"go "+strings.Join(append(args, module+"/..."), " "))
		})
	}
}

// test returns how many tests it ran.
func (r *runner) test(b batch) (tests int) {
	kafka, ok := r.kafka.env(b)
	if !ok {
		return 0
	}
	failed := false
	c := newCollector(func(p packageResult) {
		tests += p.passed + p.failed
		failed = failed || p.failed > 0
		again := "ORDERLY_SEED=" + strconv.FormatUint(r.seed, 10) + " "
		if r.soak {
			again += "ORDERLY_SOAK=1 "
		}
		if b.kafka {
			again += "go run ./internal/kafkatest/startkafka "
		}
		r.tell(func(rep *report) { rep.packageDone(p, b.label(), again+r.repeat(b, p), r.verbose) })
	})
	var stderr bytes.Buffer
	cmd := r.command(r.testArgs(b, []string{"-json", "-vet=off", "-p=" + strconv.Itoa(r.atOnce(b))}, r.run, b.pkgs))
	cmd.Env = append(cmd.Env, kafka...)
	cmd.Stderr = &stderr
	stray, err := runReading(cmd, c)
	// Whatever makes go test fail shows in a package, or else in its own words.
	if left := c.unfinished(); len(left) > 0 || err != nil && !failed {
		n := max(len(left), 1)
		tests += n
		r.tell(func(rep *report) {
			rep.block(stray + stderr.String())
			rep.fail(n, strings.TrimSpace(fmt.Sprintf("go test (%v) %s", err, strings.Join(left, " "))),
				shell(append([]string{"go"}, cmd.Args[1:]...)))
		})
	}
	return tests
}

// atOnce is how many packages of a lane are built and run at once: while both lanes have
// the root module's tests, which work the most and have deadlines, as many as go test
// would run in all. Later modules' tests wait more than they work.
func (r *runner) atOnce(b batch) int {
	n := runtime.GOMAXPROCS(0)
	if r.kafka.absent || !b.kafka && b.module != rootModule {
		return n
	}
	return max(n/2, 1)
}

// testArgs are the arguments of go test for these packages of a batch.
func (r *runner) testArgs(b batch, extra []string, pattern string, pkgs []string) []string {
	args := append([]string{"test"}, extra...)
	// Never a cached result: the point of a fresh seed is to try it.
	args = append(args, "-count="+strconv.Itoa(r.count), "-timeout="+r.timeout.String())
	if r.race && !b.noRace {
		args = append(args, "-race")
	}
	if b.tags != "" {
		args = append(args, "-tags="+b.tags)
	}
	if pattern == "" {
		pattern = b.only
	}
	if pattern != "" {
		args = append(args, "-run="+pattern)
	}
	args = append(args, pkgs...)
	if b.rapid {
		args = append(args, "-args", "-rapid.seed="+strconv.FormatUint(r.seed, 10))
	}
	return args
}

// repeat is the command that runs a package's failed tests again, and only those.
func (r *runner) repeat(b batch, p packageResult) string {
	pattern := r.run
	if len(p.failing) > 0 {
		pattern = "^(" + strings.Join(p.failing, "|") + ")$"
	}
	return shell(append([]string{"go"}, r.testArgs(b, nil, pattern, []string{p.path})...))
}

func (r *runner) command(args []string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "ORDERLY_SEED="+strconv.FormatUint(r.seed, 10))
	if r.soak {
		cmd.Env = append(cmd.Env, "ORDERLY_SOAK=1")
	}
	if !r.race {
		// Where CC names a compiler that is not there, go would try it all the same.
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	return cmd
}

func runReading(cmd *exec.Cmd, c *collector) (stray string, err error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stray, readErr := c.read(stdout)
	if err := cmd.Wait(); err != nil {
		return stray, err
	}
	return stray, readErr
}

// shell writes a command so that it can be pasted into a shell.
func shell(words []string) string {
	quoted := slices.Clone(words)
	for i, w := range quoted {
		if strings.ContainsAny(w, " ^$|()*?[]{}'\"\\&;<>!#~`") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
