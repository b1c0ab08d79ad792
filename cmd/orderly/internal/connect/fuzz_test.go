package connect

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// Whatever is in a file: each of its settings is taken or named, and problems do
// not tell values.
func requireAccountedFor(t *testing.T, file []byte, raw map[string]string) {
	t.Helper()
	out, problems := translate("f", file, raw)
	all := strings.Join(problems, "\n")
	for name, text := range raw {
		taken := slices.ContainsFunc(slices.Collect(maps.Values(out)), func(v Value) bool {
			return v.Origin == "file f ("+name+")"
		})
		if _, same := out[name]; same {
			taken = true
		}
		// The type of a store is a part of its setting.
		kind := name == javaTrustType || name == javaKeyType
		if !taken && !kind && !strings.Contains(all, "config file f: ") {
			t.Errorf("%q is neither taken nor named: %v", name, problems)
		}
		if _, known := unsupported[name]; !known && !taken && !kind && !plainName.MatchString(name) && len(name) > 12 && strings.Contains(all, name) {
			t.Errorf("the name %q, which may be a password, is in %q", name, all)
		}
		if name == SASLPassword && len(text) > 20 && strings.Contains(all, text) {
			t.Errorf("the password %q is in %q", text, all)
		}
	}
}

func FuzzProperties(f *testing.F) {
	for _, s := range []string{"", "bootstrap.servers=a:1,b:2\n", "sasl.password = a\\=b\\\n c\n", "a=\\u00e4\n", "a=\\u00\n", "!x\n#y\nz", "a=${a}\n", "\\",
		"ssl.truststore.location=x\nssl.truststore.type=PEM\n", "=x\n", "sasl.jaas.config=x y z\n",
		"sasl.jaas.config=x required password=\\\n\"correct horse battery\";\n", "correct-horse-battery-staple\n", "correcthorsebattery=staple\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if raw, err := parseProperties(text); err == nil {
			requireAccountedFor(t, text, raw)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, s := range []string{"", "bootstrap:\n  servers: [a:1, b:2]\n", "sasl.password: '01'\n", "a: 1\n", "- a\n", "a: &x b\nc: *x\n", "<<: {a: b}\n", "a: |\n  b\n", "? a\n: b\n",
		"{a: {b: c}, a.b: d}", "a: !!binary aGk=\n", "--- a\n--- b\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if raw, err := parseYAML(text); err == nil {
			requireAccountedFor(t, text, raw)
		}
	})
}

// What is quoted as in Java comes back; anything else is refused, not mangled.
func FuzzJAAS(f *testing.F) {
	for _, s := range []string{"", "u", `a"b`, `a\b`, "a b;", "=", "ä'"} {
		f.Add(s, s)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, user, password string) {
		u, p, problem := parseJAAS(jaasModules[0] + ` required username="` + quote.Replace(user) + `" password="` + quote.Replace(password) + `";`)
		if user == "" || password == "" {
			if problem == "" {
				t.Errorf("%q, %q: taken", user, password)
			}
			return
		}
		if problem != "" || u != user || p != password {
			t.Errorf("%q, %q: %q, %q, %s", user, password, u, p, problem)
		}
		parseJAAS(jaasModules[0] + " required " + user)
	})
}
