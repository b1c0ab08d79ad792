package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
)

func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte("sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=very secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ORDERLY_GROUP", "billing")
	t.Setenv("ORDERLY_BROKER", "typo")
	code, out, errs := call(t.Context(), "config", "--config", file, "-b", "k:1", "--json")
	if code != exitOK || strings.Contains(out+errs, "very secret") || !strings.Contains(errs, "ORDERLY_BROKER is not a setting") {
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	var got struct{ Settings []connect.Row }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]connect.Row{
		connect.Brokers:      {Value: "k:1", Origin: "flag --brokers"},
		connect.Group:        {Value: "billing", Origin: "env ORDERLY_GROUP"},
		connect.Topic:        {},
		connect.Protocol:     {Value: "SASL_SSL", Origin: "default, as sasl.mechanism is set"},
		connect.SASLPassword: {Value: "********", Origin: "file " + file},
	}
	for _, r := range got.Settings {
		if w, ok := want[r.Name]; ok && (r.Value != w.Value || r.Origin != w.Origin) {
			t.Errorf("%+v, want %+v", r, w)
		}
	}
	if code, out, _ := call(t.Context(), "config"); code != exitOK || !strings.Contains(out, "127.0.0.1:9092") {
		t.Errorf("exit %d\n%s", code, out)
	}
	// A password is never a flag.
	if code, _, errs := call(t.Context(), "config", "--sasl-password", "x"); code != exitUsage || !strings.Contains(errs, "unknown flag") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestBrokerErrors(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"broker"}, "name a directory"},
		{[]string{"broker", "extra"}, "takes no arguments"},
		{[]string{"broker", "--data", dir, "--listen", "0.0.0.0:1"}, "so it must be one that they reach"},
	} {
		if code, _, errs := call(t.Context(), c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, %s", c.args, code, errs)
		}
	}
	b, err := localbroker.Open(t.Context(), localbroker.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if code, _, errs := call(t.Context(), "broker", "--data", dir); code != exitFailed || !strings.Contains(errs, "is served already at") {
		t.Errorf("in use: exit %d, %s", code, errs)
	}
	if code, _, errs := call(t.Context(), "broker", "--data", t.TempDir(), "--listen", b.Addr()); code != exitFailed || !strings.Contains(errs, "cannot listen on") {
		t.Errorf("port in use: exit %d, %s", code, errs)
	}
	broken := errors.New("broken")
	for err, want := range map[error]int{
		&localbroker.NotServedError{Cause: broken}:      exitRefused,
		&localbroker.DataError{Cause: broken}:           exitFailed,
		&connect.Error{Problems: []string{"a problem"}}: exitUsage,
	} {
		if got := exitCode(&commandError{err}); got != want {
			t.Errorf("%v: %d", err, got)
		}
	}
}
