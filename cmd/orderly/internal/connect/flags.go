package connect

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the flags of a command that connects.
type Flags struct {
	set  *pflag.FlagSet
	uses []string // of Topic and Group, those that this command has
}

// AddFlags gives a command the connection flags; uses names those of Topic and
// Group that it has.
func AddFlags(set *pflag.FlagSet, uses ...string) *Flags {
	f := &Flags{set: set, uses: uses}
	for _, s := range settings {
		if s.flag != "" && f.has(s.name) {
			help := s.help
			if s.name == Brokers || s.name == ClientID {
				help += " (default " + s.def + ")"
			}
			set.StringP(s.flag, s.short, "", help)
		}
	}
	set.String(passwordFlag, "", "`file` with the password alone; or use ORDERLY_SASL_PASSWORD. A password is never a flag: process lists show those")
	set.String(configFlag, "", "`file` of settings: .properties of the Java client, or .yaml")
	set.String(localFlag, "", "use the embedded broker of this `folder`: serve it for this call, or connect to the process that does. For several commands at a time run orderly broker")
	return f
}

func (f *Flags) has(name string) bool {
	return name != Topic && name != Group || slices.Contains(f.uses, name)
}

// given returns the value of a flag that was set on the command line.
func (f *Flags) given(name string) (string, bool) {
	fl := f.set.Lookup(name)
	if fl == nil || !fl.Changed {
		return "", false
	}
	return fl.Value.String(), true
}

// otherEnv are variables with our prefix that are not settings: those of our own
// tests, those that prove gives to a program, and those that Kubernetes makes for a
// service named orderly.
func otherEnv(name string) bool {
	rest := strings.TrimPrefix(name, "ORDERLY_")
	for _, p := range []string{"TEST_", "PROVE_", "SERVICE_", "PORT"} {
		if strings.HasPrefix(rest, p) {
			return true
		}
	}
	return slices.Contains([]string{"SEED", "SOAK", "REQUIRE_ALL", "KAFKA", "NO_KAFKA", "WORKER"}, rest)
}

// unknownEnv returns the variables with our prefix that mean nothing to us.
func unknownEnv(environ []string) []string {
	var unknown []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "ORDERLY_") || otherEnv(name) || name == configEnv || name == passwordEnv || name == localEnv || name == StoreEnv {
			continue
		}
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.env == name }) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// environment is what Resolve asks; tests have their own.
type environment struct {
	lookup func(string) (string, bool)
	all    []string
}

func processEnvironment() environment { return environment{os.LookupEnv, os.Environ()} }
