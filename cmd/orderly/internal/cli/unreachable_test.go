package cli

import (
	"net"
	"strings"
	"testing"
)

// Each command that talks to brokers says so when none answers, with a way out, and
// ends with the code of that.
func TestUnreachableBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, args := range []string{
		"setup -t orders -g billing --dead-letter", "setup -t orders -g billing --parking", "setup -t orders -g billing --parking --dry-run",
		"status -g billing", "keys list -t orders -g billing --state parked", "dlt redrive -t orders --dry-run",
		"prove", "prove producer", "prove consumer", "prove scenario null-keys",
	} {
		code, _, text := call(t.Context(), append(strings.Fields(args), "--brokers", nobody)...)
		if code != exitRefused || !strings.Contains(text, nobody) || !strings.Contains(text, `"orderly config" shows them`) {
			t.Errorf("%s: exit %d: %s", args, code, text)
		}
	}
}
