package prove

import (
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Each scenario comes out as its page says.
func TestScenarios(t *testing.T) {
	chosen := sample(t)
	for i := range Scenarios {
		sc := &Scenarios[i]
		if sc.kills { // see TestRealKafka
			continue
		}
		if slices.Contains(takeLong, sc.Name) && !slices.Contains(chosen, sc.Name) {
			continue
		}
		t.Run(sc.Name, func(t *testing.T) {
			res, err := sc.Run(t.Context(), Config{Version: "test", Seed: 7, Records: 150, Command: []string{os.Args[0]}})
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := res.Write(&text); err != nil {
				t.Fatal(err)
			}
			t.Log(text.String())
			if !res.Shown || !strings.Contains(text.String(), "SHOWN: "+sc.Shows) {
				t.Error("not shown")
			}
		})
	}
}

// takeLong are scenarios with processes, pauses and waits in them.
var takeLong = []string{"zombie", "auto-commit-kill", "dead-letter", "auto-commit", "premature-resume", "rebalance", "async-hand-off"}

// sample chooses which of those that take long are run: two by the seed, and in a soak all.
func sample(t *testing.T) []string {
	for _, name := range takeLong {
		if FindScenario(name) == nil {
			t.Fatalf("there is no scenario %s", name)
		}
	}
	if os.Getenv("ORDERLY_SOAK") != "" {
		return takeLong
	}
	seed := rand.Uint64()
	if s := os.Getenv("ORDERLY_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("ORDERLY_SEED is a number: %v", err)
		}
		seed = n
	}
	n := uint64(len(takeLong))
	chosen := []string{takeLong[seed%n], takeLong[(seed+1+seed/n%(n-1))%n]}
	t.Logf("seed %d (ORDERLY_SEED=%d repeats it): of those that take long %v", seed, seed, chosen)
	return chosen
}

// What does not come out as expected is said, and is not called shown.
func TestScenarioNotShown(t *testing.T) {
	sc := *FindScenario("in-flight-1")
	sc.Cases = sc.Cases[:1:1]
	sc.Cases[0].some, sc.Cases[0].none = sc.Cases[0].none, sc.Cases[0].some
	res, err := sc.Run(t.Context(), Config{Version: "test", Seed: 7, Records: 100})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := res.Write(&text); err != nil {
		t.Fatal(err)
	}
	if res.Shown || len(res.Cases[0].Unlike) != 2 || strings.Contains(text.String(), "\nSHOWN") {
		t.Errorf("%+v\n%s", res, text.String())
	}
}

// The doctor's rules and the documentation name scenarios that exist, and the
// documentation has each of them.
func TestScenariosAreNamed(t *testing.T) {
	named := regexp.MustCompile(`prove scenario ([a-z0-9-]+)`)
	used := 0
	for _, r := range rules.All() {
		for _, m := range named.FindAllStringSubmatch(r.Prove, -1) {
			used++
			if FindScenario(m[1]) == nil {
				t.Errorf("rule %s names the scenario %s, which does not exist", r.ID, m[1])
			}
		}
	}
	if used < 10 {
		t.Errorf("only %d rules name a scenario", used)
	}
	page, err := os.ReadFile("../../../../docs/prove.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range named.FindAllSubmatch(page, -1) {
		if FindScenario(string(m[1])) == nil {
			t.Errorf("docs/prove.md names the scenario %s, which does not exist", m[1])
		}
	}
	for _, sc := range Scenarios {
		if !strings.Contains(string(page), "\n### "+sc.Name+"\n") {
			t.Errorf("docs/prove.md has no section on the scenario %s", sc.Name)
		}
	}
}

// A scenario says what it needs before it does anything.
func TestScenarioNeeds(t *testing.T) {
	for want, c := range map[string]struct {
		name string
		cfg  Config
	}{
		"leave the brokers out":      {"leader-failover", Config{Brokers: []string{"localhost:9092"}}},
		"Java 17 or newer":           {"unclean-election", Config{}},
		"not told users":             {"zombie", Config{Command: []string{"x"}, Opts: []kgo.Opt{kgo.ClientID("x")}}},
		"no command that starts":     {"auto-commit-kill", Config{}},
		"cannot be started":          {"auto-commit-kill", Config{Command: []string{"/absent/program"}}},
		"its last words: no members": {"auto-commit-kill", Config{Command: []string{"sh", "-c", "echo no members >&2; exit 3"}}},
	} {
		c.cfg.Version = "test"
		_, err := FindScenario(c.name).Run(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", c.name, err, want)
		}
	}
	if _, err := StartNodes(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "there is no Kafka in") {
		t.Error(err)
	}
}
