package effectstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly/orderlytest"
)

// A Scene is what happens while the history is applied. Each comes when the next part
// of the changes is applied.
type Scene struct {
	DSN   string
	Open  func(ctx context.Context, dsn string) (*DB, error)
	Kills int // kill -9 of a consumer
	// Freezes is how often a consumer is frozen until another one has its partitions,
	// and then goes on.
	Freezes int
	// Outages is how often Outage is called, which stops the database and starts it.
	Outages int
	Outage  func()
	// Parks has handlers fail now and then, so that keys are parked and released all the
	// time. With several kills, the first ones come at one change, until that is parked as
	// one that kills its process: its key waits through what comes then, for the operator.
	Parks bool
	// Broker is a cluster of the scene's own; nil: one in this process.
	Broker *orderlytest.Broker
	// Log reads so many records of a topic, by a client that is none of ours.
	Log func(topic string, records int) []Logged

	operator *operator // nil: nobody comes
}

const (
	partitions = 4
	members    = 2
	patience   = 60 * time.Second // without any progress
)

// A process is one consumer.
type process struct {
	cmd   *exec.Cmd
	log   *tail
	ended chan struct{}
}

// Run applies the history and compares the end. The database has orderly's tables and
// nothing else.
func (s Scene) Run(t *testing.T) {
	changes, truth := load(t)
	db, err := s.Open(t.Context(), s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range tables {
		if _, err := db.Exec(t.Context(), nil, statement); err != nil {
			t.Fatal(err)
		}
	}
	b := s.Broker
	if b == nil {
		b = orderlytest.NewBroker(t)
	}
	b.CreateTopic(topic, partitions)
	recs := make([]orderlytest.Record, len(changes))
	for i, c := range changes {
		value, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		recs[i] = orderlytest.Msg(c.Path, string(value))
	}

	seed := rand.Uint64()
	t.Logf("seed %d, %d changes of %d files, %d kills, %d freezes, %d outages", seed, len(changes), len(truth), s.Kills, s.Freezes, s.Outages)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var events []event
	var running []*process
	parked := &parkedRows{}
	if s.Parks {
		t.Setenv(parksEnv, "1")
		parked.watch(t, db)
		s.operator = newOperator(t, b, db)
	}
	start := func() { running = append(running, begin(t, b.Addrs(), s.DSN)) }
	defer func() {
		for _, p := range running {
			if t.Failed() {
				p.dump()
			}
			p.kill()
			if t.Failed() {
				t.Logf("log of process %d, its end:\n%s", p.cmd.Process.Pid, p.log)
			}
		}
	}()
	kill := func(i int) {
		running[i].kill()
		running = append(running[:i], running[i+1:]...)
		start()
	}
	kills := s.Kills
	var lethal *deadly
	if s.Parks && s.Kills > 1 {
		kills = max(0, s.Kills-reserved)
	}
	for range kills {
		events = append(events, event{strike: func() { kill(rnd.IntN(len(running))) }})
	}
	for range s.Freezes {
		events = append(events, event{before: func() { shared(t, b, len(running)) }, strike: func() {
			p := running[rnd.IntN(len(running))]
			p.freeze(t)
			// The others go on with what it had.
			had := tokens(t, db)
			s.wait(t, db, running, "another owner of what the frozen one had", func(int) bool { return tokens(t, db) > had })
			p.thaw(t)
		}})
	}
	for range s.Outages {
		events = append(events, event{strike: s.Outage})
	}
	rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	if kills < s.Kills {
		waits := s
		waits.operator = nil // it comes when the change is parked
		events = append([]event{{atOnce: true, strike: func() {
			lethal.strike(t, func(is func(running []*process) bool) {
				waits.wait(t, db, running, "the deadly change to be called, or parked", func(int) bool { return is(running) })
			}, kill, func() bool { return len(s.operator.waiting(t)) > 0 }, func() int { return count(t, db) })
		}}}, events...)
	}
	// A part of the changes for each: it strikes when some of them are applied.
	part := len(recs) / (len(events) + 1)
	if kills < s.Kills {
		lethal = plant(t, rnd, changes, part)
	}
	for range members {
		start()
	}
	for i, e := range events {
		if e.before != nil {
			e.before()
		}
		b.Produce(topic, recs[i*part:(i+1)*part]...)
		if !e.atOnce {
			at := i*part + part/3
			s.wait(t, db, running, fmt.Sprintf("change %d", at), func(n int) bool { return n >= at })
		}
		e.strike()
	}
	b.Produce(topic, recs[len(events)*part:]...)
	s.wait(t, db, running, "all changes", func(n int) bool { return n >= len(changes) })
	compare(t, db, len(changes), truth)
	if s.Parks {
		parked.enough(t, db)
		if s.operator.released == 0 && lethal != nil {
			t.Error("no key was released by the operator")
		}
	}
	if s.Log != nil {
		againstLog(t, db, s.Log(topic, len(changes)))
	}
}

// An event strikes while changes are applied, and may need something before.
type event struct {
	before, strike func()
	atOnce         bool // it waits by itself
}

// shared waits until each of the processes has partitions, and no dead one has.
func shared(t *testing.T, b *orderlytest.Broker, processes int) {
	t.Helper()
	seen := ""
	defer func() {
		if t.Failed() {
			t.Logf("the group, of %d processes: %s", processes, seen)
		}
	}()
	b.Eventually("each process to have partitions", func() bool {
		groups, err := b.Admin().DescribeGroups(t.Context(), group)
		g := groups[group]
		seen = fmt.Sprintf("%v %v %s, %d members", err, g.Err, g.State, len(g.Members))
		for _, m := range g.Members {
			c, _ := m.Assigned.AsConsumer()
			seen += fmt.Sprintf(" %s %+v", m.MemberID, c)
		}
		if err != nil || g.Err != nil || g.State != "Stable" || len(g.Members) != processes {
			return false
		}
		for _, m := range g.Members {
			if c, ok := m.Assigned.AsConsumer(); !ok || len(c.Topics) == 0 {
				return false
			}
		}
		return true
	})
}

// compare holds the tables against what is known.
func compare(t *testing.T, db *DB, changes int, truth map[string]file) {
	if n := count(t, db); n != changes {
		t.Errorf("%d changes are applied, of %d", n, changes)
	}
	have := map[string]file{}
	must(t, db.Query(t.Context(), `SELECT path, commit_id, seq FROM file WHERE alive = 1`, func(scan func(...any) error) error {
		var path string
		var f file
		err := scan(&path, &f.commit, &f.changes)
		have[path] = f
		return err
	}))
	for path, want := range truth {
		if have[path] != want {
			t.Errorf("%s: %+v, and the truth is %+v", path, have[path], want)
		}
	}
	for path := range have {
		if _, ok := truth[path]; !ok {
			t.Errorf("%s is there, and was deleted", path)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *DB) (n int) {
	t.Helper()
	one(t, db, `SELECT count(*) FROM applied`, &n)
	return n
}

// tokens is the sum of the partitions' tokens: it rises with each owner.
func tokens(t *testing.T, db *DB) (sum int64) {
	t.Helper()
	one(t, db, `SELECT CAST(sum(token) AS BIGINT) FROM orderly_low`, &sum)
	return sum
}

func one(t *testing.T, db *DB, query string, into any) {
	t.Helper()
	must(t, db.Query(t.Context(), query, func(scan func(...any) error) error { return scan(into) }))
}

// wait waits for what the count of applied changes says, as long as it rises.
func (s Scene) wait(t *testing.T, db *DB, running []*process, what string, is func(n int) bool) {
	t.Helper()
	last, since, seen := -1, time.Now(), time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		n := count(t, db)
		if is(n) {
			return
		}
		if n != last {
			last, since = n, time.Now()
		}
		for _, p := range running {
			select {
			case <-p.ended:
				t.Fatalf("waiting for %s, at %d: process %d has ended by itself", what, n, p.cmd.Process.Pid)
			default:
			}
		}
		if s.operator != nil && time.Since(since) > stall && time.Since(seen) > stall {
			s.operator.release(t)
			seen = time.Now()
		}
		if time.Since(since) > patience {
			t.Fatalf("waiting for %s: it stands at %d since %s", what, n, patience)
		}
	}
}

func begin(t *testing.T, brokers []string, dsn string) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	p := &process{cmd: exec.Command(exe), log: &tail{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), brokersEnv+"="+strings.Join(brokers, ","), dsnEnv+"="+dsn)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	must(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// A tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 1<<18 {
		l.buf.Next(l.buf.Len() - 1<<17)
	}
	return l.buf.Write(b)
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
