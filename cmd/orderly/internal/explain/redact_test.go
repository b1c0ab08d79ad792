package explain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const hidden = "hunter2horse"

// No secret beside a known error is printed, in any of the ways that logs have.
func TestSecretsAreMasked(t *testing.T) {
	const known = "NOT_ENOUGH_REPLICAS "
	for _, line := range []string{
		known + "password=" + hidden,
		known + "ssl.key.password = " + hidden,
		known + "ssl.keystore.password: '" + hidden + "'",
		known + `{"sasl.password":"` + hidden + `","acks":"all"}`,
		known + `{\"password\": \"` + hidden + `\"}`,
		`{"msg":"NOT_ENOUGH_REPLICAS","password":"` + hidden + `"}`,
		`{"msg":"NOT_ENOUGH_REPLICAS {\"api_key\":\"` + hidden + `\"}"}`,
		known + `sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="` + hidden + `";`,
		known + `PlainLoginModule required username="` + hidden + `" password="` + hidden + `";`,
		known + "Authorization: Bearer " + hidden + ".abc.def",
		known + "authorization: basic " + hidden + "==",
		known + "SASL_PASSWORD=" + hidden + " rest",
		known + "--sasl-password=" + hidden,
		known + "client_secret=" + hidden + "&x=1",
		known + "aws_secret_access_key=" + hidden,
		known + "access_token: " + hidden,
		known + "url=https://user:" + hidden + "@host/path",
		known + "pwd:" + hidden,
		known + "password => " + hidden,
		known + "-----BEGIN PRIVATE KEY-----" + hidden,
	} {
		r := scanText(line)
		if len(r.Findings) != 1 {
			t.Errorf("%d findings: %s", len(r.Findings), line)
			continue
		}
		var out bytes.Buffer
		if err := r.Write(&out, Options{}); err != nil {
			t.Fatal(err)
		}
		j, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{out.String(), string(j)} {
			if strings.Contains(form, hidden) {
				t.Errorf("the secret of %q is shown", line)
			}
			if !strings.Contains(form, "NOT_ENOUGH_REPLICAS") {
				t.Errorf("nothing is left of %q", line)
			}
		}
	}
	// What is no secret stays.
	const plain = "NOT_ENOUGH_REPLICAS topic=orders token=9 key_hash=ab12 partition=3 secretary=bob"
	if got := evidence(plain); !strings.Contains(got, "token=9") || !strings.Contains(got, "key_hash=ab12") {
		t.Errorf("masked too much: %s", got)
	}
	// A text that is not known is said again without what is secret in it.
	if _, err := Explain("nothing known password="+hidden, Unknown); err == nil || strings.Contains(err.Error(), hidden) {
		t.Errorf("error %v", err)
	}
	// Escape sequences of a terminal do not get through.
	if got := evidence("\x1b[31mNOT_ENOUGH_REPLICAS\x1b[0m \x07\u202e"); strings.ContainsAny(got, "\x1b\x07\u202e") {
		t.Errorf("evidence %q", got)
	}
}
