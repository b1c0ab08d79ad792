package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/produce"
)

func TestProduceAndConsumeUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"produce"}, `"orderly produce" needs --key`},
		{[]string{"produce", "--key", "id"}, `--key: path "id": it does not begin with a dot`},
		{[]string{"produce", "--key", ".id", "--value", ".["}, "--value: path"},
		{[]string{"produce", "--key", ".id"}, `"orderly produce" needs a topic: set -t, --topic or ORDERLY_TOPIC`},
		{[]string{"produce", "--key", ".id", "-t", "t", "--create"}, "--create needs --partitions"},
		{[]string{"produce", "--key", ".id", "-t", "t", "--delivery-timeout", "1ms"}, "--delivery-timeout is 1ms: it must be from 100ms to 24h"},
		{[]string{"produce", "--key", ".id", "-t", "t", "--create", "--partitions", "0"}, "--partitions is 0"},
		{[]string{"produce", "--key", ".id", "-t", "t", "--max-record-bytes", "1"}, "--max-record-bytes is 1"},
		{[]string{"produce", "--key", ".id", "-t", "t", "absent.jsonl"}, "input absent.jsonl: no such file"},
		{[]string{"produce", "--key", ".id", "-t", "t", "--config", "absent.yaml"}, "config file absent.yaml is not there"},
		{[]string{"consume", "-t", "t"}, `"orderly consume" needs a group`},
		{[]string{"consume", "-g", "g"}, `"orderly consume" needs a topic`},
		{[]string{"consume", "python3"}, "a worker's command stands after it: orderly consume -t T -g G -- python3"},
		{[]string{"consume", "x", "--", "y"}, `before --, but got "x"`},
		{[]string{"consume", "--"}, "there is no command after --"},
		{[]string{"consume", "--scope", "all"}, `--scope is "all"`},
		{[]string{"consume", "--from", "yesterday"}, `--from is "yesterday"`},
		{[]string{"consume", "--reset", "begin"}, `--reset is "begin": it must be stop, earliest or latest`},
		{[]string{"consume", "--on-exhausted", "drop"}, `--on-exhausted is "drop"`},
		{[]string{"consume", "--concurrency", "0"}, "--concurrency is 0"},
		{[]string{"consume", "--max-attempts", "0"}, "--max-attempts is 0"},
		{[]string{"consume", "--backoff", "2m"}, "--max-backoff is 1m0s: it must be not below --backoff"},
		{[]string{"consume", "-t", "t", "-g", "g", "--session-timeout", "1ms"}, "--session-timeout is 1ms"},
		{[]string{"consume", "-t", "t", "-g", "g", "--", "no-such-program-here"}, `the worker program "no-such-program-here" cannot be run`},
	} {
		if code, out, errs := call(t.Context(), c.args...); code != exitUsage || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want exit 2 and %q", c.args, code, out, errs, c.want)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	for _, args := range [][]string{
		{"produce", "--key", ".id", "-t", "t", "-b", "127.0.0.1:1"},
		{"consume", "-g", "g", "-t", "t", "-b", "127.0.0.1:1", "--until-end"},
	} {
		if code, _, errs := call(t.Context(), args...); code != exitRefused || !strings.Contains(errs, "no broker of 127.0.0.1:1 answers") {
			t.Errorf("%q: exit %d, %s", args, code, errs)
		}
	}
}

// Lines go in, come out in order per key, and go in again; in one folder.
func TestThereAndBack(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	if err := os.WriteFile(in, []byte("{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n{\"id\":\"a\",\"n\":3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka := filepath.Join(dir, "kafka")
	at := func(args ...string) []string { return append([]string{args[0], "--local", kafka}, args[1:]...) }

	code, out, errs := call(t.Context(), at("produce", "-t", "one", "--key", ".id", "--create", "--partitions", "2", "--json", in)...)
	var sum produce.Result
	if err := json.Unmarshal([]byte(out), &sum); err != nil || code != exitOK || sum.Sent != 3 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	code, out, errs = call(t.Context(), at("consume", "-t", "one", "-g", "g", "--until-end")...)
	if code != exitOK || strings.Count(out, "\n") != 3 || strings.Index(out, `\"n\":1`) > strings.Index(out, `\"n\":3`) || !strings.Contains(errs, "3 records done") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	dump := filepath.Join(dir, "dump.jsonl")
	if err := os.WriteFile(dump, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call(t.Context(), at("produce", "-t", "two", "--key", ".key", "--value", ".value", "--create", "--partitions", "1", dump)...); code != exitOK {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	code, out, errs = call(t.Context(), at("consume", "-t", "two", "-g", "g2", "--until-end")...)
	if code != exitOK || !strings.Contains(out, `"key":"a","value":"{\"id\":\"a\",\"n\":3}"`) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}

	// What goes wrong has its exit code, and the summary says it too.
	if err := os.WriteFile(in, []byte("{\"id\":\"a\"}\nbad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = call(t.Context(), at("produce", "-t", "one", "--key", ".id", "--json", in)...)
	sum = produce.Result{}
	if err := json.Unmarshal([]byte(out), &sum); err != nil || code != exitUsage || sum.Sent != 1 || !strings.Contains(sum.Error, "in.jsonl line 2: not JSON") || !strings.Contains(errs, sum.Error) {
		t.Errorf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	code, _, errs = call(t.Context(), at("consume", "-t", "one", "-g", "g", "--until-end", "--max-attempts", "2", "--backoff", "1ms", "--", os.Args[0], "-test.run=NoSuchTest")...)
	if code != exitFailed || !strings.Contains(errs, "stopped by policy at topic one partition") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	if code, _, errs := call(t.Context(), at("consume", "-t", "absent", "-g", "g", "--until-end")...); code != exitRefused || !strings.Contains(errs, `topic "absent"`) {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

// The help of produce names every field of its JSON.
func TestProduceHelpNamesAllFields(t *testing.T) {
	_, out, _ := call(t.Context(), "produce", "--help")
	for i := range reflect.TypeFor[produce.Result]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[produce.Result]().Field(i).Tag.Get("json"), ",")
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(out) {
			t.Errorf("the help does not name %s", name)
		}
	}
	_, out, _ = call(t.Context(), "consume", "--help")
	for _, p := range []orderly.Policy{orderly.PolicyBlock, orderly.PolicyStop} {
		if !strings.Contains(out, string(p)) {
			t.Errorf("the help does not name %s", p)
		}
	}
}
