package connect_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/cli"
	"github.com/orderly-go/orderly/internal/kafkatest"
)

// Exit codes of the command, as its help names them.
const exitOK, exitRefused = 0, 5

// The connection settings reach real Kafka over TLS and as a user, said with flags,
// in a file of the Java client, and in the environment; and who has not what is
// asked for is told, without a secret in the words.
func TestSecureKafka(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	dir := t.TempDir()
	var opts kafkatest.Options
	creds, err := opts.Secure(dir)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kafkatest.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	tls, scram := cluster.ListenerAddrs(kafkatest.TLS)[0], cluster.ListenerAddrs(kafkatest.SCRAM)[0]
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	java := func(name, password string) string {
		return write(name, fmt.Sprintf(`bootstrap.servers=%s
security.protocol=SASL_SSL
ssl.truststore.type=PEM
ssl.truststore.location=%s
sasl.mechanism=SCRAM-SHA-256
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%s" password="%s";
`, scram, creds.CA, creds.User, password))
	}
	input := write("in.jsonl", "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n{\"id\":\"a\",\"n\":3}\n")

	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		code int
	}{
		{name: "tls-flags", args: []string{"-b", tls, "--tls-ca", creds.CA, "--tls-cert", creds.Certificate, "--tls-key", creds.Key}},
		{name: "scram-256-file", args: []string{"--config", java("client.properties", creds.Password)}},
		{name: "scram-512-environment", env: map[string]string{
			"ORDERLY_BROKERS": scram, "ORDERLY_TLS_CA": creds.CA, "ORDERLY_SASL_MECHANISM": "SCRAM-SHA-512",
			"ORDERLY_SASL_USERNAME": creds.User, "ORDERLY_SASL_PASSWORD": creds.Password,
		}},
		{name: "no-certificate", args: []string{"-b", tls, "--tls-ca", creds.CA}, code: exitRefused},
		{name: "authority-not-known", args: []string{"-b", tls, "--tls-ca", creds.Certificate, "--tls-cert", creds.Certificate, "--tls-key", creds.Key}, code: exitRefused},
		{name: "wrong-password", args: []string{"--config", java("wrong.properties", creds.Password[1:])}, code: exitRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			run := func(args ...string) (code int, out, errs string) {
				var stdout, stderr bytes.Buffer
				code = cli.Run(t.Context(), "test", append(args, c.args...), cli.Streams{In: &bytes.Buffer{}, Out: &stdout, Err: &stderr})
				out, errs = stdout.String(), stderr.String()
				if strings.Contains(out+errs, creds.Password[1:]) {
					t.Errorf("%s shows the password:\n%s%s", args[0], out, errs)
				}
				t.Logf("%s: exit %d\n%s", args[0], code, errs)
				return code, out, errs
			}
			code, _, errs := run("produce", "-t", c.name, "--key", ".id", "--create", "--partitions", "2", input)
			if code != c.code {
				t.Errorf("produce: exit %d, want %d\n%s", code, c.code, errs)
			}
			code, out, errs := run("consume", "-t", c.name, "-g", c.name, "--session-timeout", "6s", "--until-end")
			if code != c.code {
				t.Errorf("consume: exit %d, want %d\n%s", code, c.code, errs)
			}
			if c.code != exitOK {
				return
			}
			if strings.Count(out, "\n") != 3 || strings.Index(out, `\"n\":1`) > strings.Index(out, `\"n\":3`) {
				t.Errorf("consumed:\n%s", out)
			}
		})
	}
}
