package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
)

// The names of the fields of both commands are a promise: what they have in common is
// called the same, and each object says of which topic it is.
func TestOffsetsJSON(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 2)
	at := []string{"--brokers", strings.Join(b.Addrs(), ","), "-t", "orders", "-g", "billing", "--json"}
	for _, c := range []struct {
		args string
		want []string
	}{
		{"offsets show", []string{"attempts", "committed", "done_ahead", "end", "fencing_token", "metadata", "parked_keys", "parked_records", "partition", "start", "store", "topic", "unfinished_reset", "watermark"}},
		{"offsets reset --to earliest --reason x --dry-run", []string{"done", "from", "lost", "parked_records", "partition", "store", "to", "topic"}},
	} {
		code, out, errs := call(t.Context(), append(strings.Fields(c.args), at...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != exitOK || len(lines) != 2 {
			t.Fatalf("%s: exit %d\n%s%s", c.args, code, out, errs)
		}
		for _, line := range lines {
			var o map[string]any
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("%s: %v in %s", c.args, err, line)
			}
			var got []string
			for name := range o {
				got = append(got, name)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || o["topic"] != "orders" {
				t.Errorf("%s: %v, want %v in %s", c.args, got, c.want, line)
			}
		}
	}
}

// The numbers stand under the names that they belong to.
func TestOffsetsJSONValues(t *testing.T) {
	var out strings.Builder
	steps := []orderly.ResetPartition{{Topic: "orders", Partition: 3, From: 70, To: 50, Parked: 4, Lost: 2, Done: true}}
	if err := printReset(Streams{Out: &out}, steps, true); err != nil {
		t.Fatal(err)
	}
	if want := `{"topic":"orders","partition":3,"from":70,"to":50,"store":[],"parked_records":4,"lost":2,"done":true}` + "\n"; out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
	out.Reset()
	now := []orderly.PartitionOffsets{{Topic: "orders", Partition: 3, Start: 1, End: 90, Committed: 70, Metadata: "ok", Token: 7, Watermark: 71, DoneAhead: 5, Attempts: 6, ParkedKeys: 8, ParkedRecords: 9, Reset: -1}}
	if err := showOffsets(Streams{Out: &out}, now, true); err != nil {
		t.Fatal(err)
	}
	want := `{"topic":"orders","partition":3,"start":1,"end":90,"committed":70,"metadata":"ok","fencing_token":7,"watermark":71,"done_ahead":5,"attempts":6,"parked_keys":8,"parked_records":9,"unfinished_reset":-1,"store":[]}` + "\n"
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}

// Errors of a command name its flags, and not the library's identifiers.
func TestOffsetsResetToStoredNeedsAStore(t *testing.T) {
	t.Setenv("ORDERLY_STORE_DSN", "")
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	code, out, errs := call(t.Context(), "offsets", "reset", "--brokers", strings.Join(b.Addrs(), ","), "-t", "orders", "-g", "billing", "--to", "stored", "--reason", "x")
	if code != exitUsage || !strings.Contains(errs, "--to stored needs --store") || strings.Contains(errs, "OffsetReset") || strings.Contains(errs, "ToStored") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// A redrive that did not begin counts nothing.
func TestRedriveOfATopicThatIsNotThere(t *testing.T) {
	b := orderlytest.NewBroker(t)
	b.CreateTopic("orders", 1)
	for _, more := range [][]string{nil, {"--dry-run"}} {
		args := append([]string{"dlt", "redrive", "--brokers", strings.Join(b.Addrs(), ","), "-t", "orders"}, more...)
		code, out, errs := call(t.Context(), args...)
		if code == exitOK || out != "" || !strings.Contains(errs, "orders-dlt") || strings.Contains(errs, "sent back") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}
