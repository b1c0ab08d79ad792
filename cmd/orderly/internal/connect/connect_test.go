package connect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The lexer of a .properties file that is refused never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/magiconair/properties.(*lexer).emit"))
}

const secret = "s3cr3t-${x}"

// settle resolves a command line in an environment of its own.
func settle(t *testing.T, args []string, env ...string) (*Settings, error) {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := AddFlags(set, Topic, Group)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	s, err := f.resolve(environment{func(n string) (string, bool) { v, ok := vars[n]; return v, ok }, env})
	if err != nil && strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("the error tells the secret: %v", err)
	}
	return s, err
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOrigins(t *testing.T) {
	cfg := file(t, "c.properties", "bootstrap.servers=file:1\ntopic=file\ngroup.id=file\nclient.id=file\n")
	s, err := settle(t, []string{"--config", cfg, "-t", "flag"}, "ORDERLY_TOPIC=env", "ORDERLY_GROUP=env")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Value{
		Topic:    {"flag", "flag --topic"},
		Group:    {"env", "env ORDERLY_GROUP"},
		Brokers:  {"file:1", "file " + cfg},
		Protocol: {"PLAINTEXT", "default"},
		CA:       {},
	} {
		if got := s.values[name]; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if s, err := settle(t, nil); err != nil || s.Get(Brokers) != DefaultBrokers || len(s.Notes) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = settle(t, nil, "ORDERLY_CONFIG="+cfg, "ORDERLY_TOPICS=x", "ORDERLY_SERVICE_HOST=10.0.0.1", "ORDERLY_SEED=1", "ORDERLY_PROVE_TOPIC=t",
		StoreEnv+"=sqlite:x.db")
	if err != nil || s.Get(Topic) != "file" || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "ORDERLY_TOPICS") {
		t.Errorf("%+v, %v", s, err)
	}
}

// The same settings in every form that a file may have.
func TestFiles(t *testing.T) {
	jaas := `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="` + secret + `";`
	for name, text := range map[string]string{
		"java.properties":       "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config=" + jaas + "\nssl.truststore.location=ca.pem\nssl.truststore.type=PEM\nssl.endpoint.identification.algorithm=https\n",
		"librdkafka.properties": "security.protocol=sasl_ssl\nsasl.mechanisms=SCRAM-SHA-256\nsasl.username=u\nsasl.password=" + secret + "\nssl.ca.location=ca.pem\n",
		"flat.yaml":             "sasl.mechanism: SCRAM-SHA-256\nsasl.username: u\nsasl.password: '" + secret + "'\nssl.ca.location: ca.pem\n",
		"nested.yml":            "\ufeffsecurity: {protocol: SASL_SSL}\nsasl:\n  mechanism: SCRAM-SHA-256\n  username: u\n  password: '" + secret + "'\nssl: {ca.location: ca.pem}\nbootstrap.servers: [a:1, b:2]\n",
	} {
		s, err := settle(t, []string{"--config", file(t, name, text)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Get(Protocol) != "SASL_SSL" || s.Get(SASLMechanism) != "SCRAM-SHA-256" || s.Get(SASLUsername) != "u" || s.Get(SASLPassword) != secret || s.Get(CA) != "ca.pem" {
			t.Errorf("%s: %+v", name, s.values)
		}
		var out strings.Builder
		if err := s.Write(&out, strings.HasPrefix(name, "flat")); err != nil || strings.Contains(out.String(), "s3cr3t") || !strings.Contains(out.String(), mask) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// A password is taken as it is, blanks around it too; and a JAAS text may be on
// several lines.
func TestPasswordsAreNotTrimmed(t *testing.T) {
	const user = "sasl.mechanism: PLAIN\nsasl.username: u\n"
	for name, text := range map[string]string{
		"c.properties":    "sasl.mechanism=PLAIN\nsasl.username=  u \nsasl.password=\\ " + secret + " \n",
		"c.yaml":          user + "sasl.password: ' " + secret + " '\n",
		"jaas.properties": "sasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \\\n  required\\tusername=u\\n password=\" " + secret + " \";\n",
		"jaas.yaml":       "sasl.mechanism: PLAIN\nsasl.jaas.config: |\n  org.apache.kafka.common.security.plain.PlainLoginModule\n  required\n  username=u\n  password=\" " + secret + " \";\n",
	} {
		s, err := settle(t, []string{"--config", file(t, name, text)})
		if err != nil || s.Get(SASLPassword) != " "+secret+" " || s.Get(SASLUsername) != "u" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	const user = "sasl.mechanism=PLAIN\nsasl.username=u\n"
	for _, c := range []struct {
		name, text string // of a file; none when name is empty
		args, env  string
		want       string
	}{
		{name: "c.properties", text: "no.such=1\nacks=1\n", want: `unknown property "no.such"`},
		{name: "c.properties", text: "no.such=1\nacks=1\n", want: `property "acks" is not supported: it is always all`},
		{name: "c.properties", text: "ssl.keystore.location=k.jks\nssl.keystore.password=" + secret + "\n", want: "only PEM files are supported"},
		{name: "c.properties", text: "ssl.truststore.type=PEM\n", want: "is set without ssl.truststore.location"},
		{name: "c.properties", text: "ssl.endpoint.identification.algorithm=\n", want: "only https is supported"},
		{name: "c.properties", text: "sasl.jaas.config=com.sun.Krb5LoginModule required password=\"" + secret + "\";\n", want: "only the PlainLoginModule"},
		{name: "c.properties", text: "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"" + secret + "\n", want: "is a quote missing?"},
		{name: "c.properties", text: "sasl.mechanism=PLAIN\nsasl.mechanisms=PLAIN\n", want: "says the same as another"},
		{name: "c.properties", text: "sasl.password=" + secret + "\\u12\n", want: "four hexadecimal digits"},
		{name: "c.properties", text: "sasl.mechanism=GSSAPI\n", want: `sasl.mechanism "GSSAPI"`},
		{name: "c.properties", text: "client.id=\n", want: "is empty: give it a value"},
		{name: "c.properties", text: user, want: "sasl.password is missing, and SASL_SSL (default, as sasl.mechanism is set) needs it: set ORDERLY_SASL_PASSWORD, or --password-file"},
		{name: "c.properties", text: user + "sasl.password=" + secret + "\nsecurity.protocol=SSL\n", want: "which has no users"},
		{name: "c.properties", text: "ssl.ca.location=ca\nsecurity.protocol=PLAINTEXT\n", want: "which has no TLS"},
		{name: "c.properties", text: "ssl.key.location=k\n", want: "are set together or not at all"},
		{name: "c.properties", text: "ssl.key.password=" + secret + "\n", want: "encrypted private keys are not supported"},
		// Names that may be a password: a line that was broken in the wrong place, or the password file itself.
		{name: "c.properties", text: "client.id=x\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\n\"" + secret + "\";\n", want: "unknown property in line 3"},
		{name: "c.properties", text: secret + "\n", want: "unknown property in line 1"},
		{name: "c.properties", text: "s3cr3t\n", want: "unknown property in line 1"},
		{name: "c.properties", text: "\n  s3cr3t=abc\n", want: "unknown property in line 2"},
		{name: "c.properties", text: "s3cr3t\\:x\n", want: "unknown property in line 1"},
		{name: "c.yaml", text: "sasl.mechanism: PLAIN\ns3cr3t: x\n", want: "unknown property in line 2"},
		{name: "c.yaml", text: "sasl:\n  s3cr3t: 1\n", want: "in line 2 has a value that is not text"},
		{name: "c.yaml", text: "{s3cr3t: [[]]}\n", want: "in line 1 is a list of something else"},
		{name: "c.yaml", text: "sasl.password: *" + secret + "\n", want: "not valid YAML"},
		{name: "c.yaml", text: "a: \"" + secret + "\n", want: "not valid YAML"},
		{name: "c.yaml", text: "sasl.password: 0123\n", want: `"sasl.password" has a value that is not text`},
		{name: "c.yaml", text: "- a\n", want: "a list or a single value"},
		{name: "c.yaml", text: "sasl.mechanism: PLAIN\nsasl: {mechanism: PLAIN}\n", want: "is there twice"},
		{name: "c.txt", text: "", want: `it ends with ".txt"`},
		{args: "--config " + absent, want: absent + " is not there"},
		{args: "--config " + t.TempDir() + "/", want: "cannot be read"},
		{args: "--password-file " + absent, want: "password file (flag --password-file): " + absent + " is not there"},
		{args: "--brokers host", want: `"host" is no host:port`},
		{env: "ORDERLY_BROKERS=", want: "bootstrap.servers (env ORDERLY_BROKERS) is empty"},
		{args: "--local d -b a:1", want: "bootstrap.servers (flag --brokers) goes to another place than flag --local"},
		{env: "ORDERLY_SASL_PASSWORD=" + secret + " ORDERLY_PASSWORD_FILE=f", want: "keep one of them"},
	} {
		args := strings.Fields(c.args)
		if c.name != "" {
			args = append(args, "--config", file(t, c.name, c.text))
		}
		_, err := settle(t, args, strings.Fields(c.env)...)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestPasswordFile(t *testing.T) {
	args := []string{"--sasl-mechanism", "plain", "--sasl-username", "u", "--password-file", file(t, "p", secret+"\r\n")}
	s, err := settle(t, args, "ORDERLY_SASL_PASSWORD=another")
	if err != nil || s.Get(SASLPassword) != secret {
		t.Errorf("%v", err)
	}
	args[5] = file(t, "empty", "\n")
	if _, err := settle(t, args); err == nil || !strings.Contains(err.Error(), "is empty: it holds the password") {
		t.Errorf("%v", err)
	}
}
