package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/twmb/franz-go/pkg/kfake"
)

// The embedded broker is named as what it is, and nothing is said of it that holds
// for Kafka only; another broker that looks the same is judged.
func TestTheEmbeddedBroker(t *testing.T) {
	b, err := localbroker.Open(t.Context(), localbroker.Options{Dir: t.TempDir()})
	must(t, err)
	defer func() { must(t, b.Close()) }()
	must(t, b.EnsureTopics(localbroker.Topic{Name: "orders", Partitions: 2}))
	look := func(addrs ...string) (*Report, string) {
		cl, _ := connect(t, addrs)
		f, err := Collect(t.Context(), cl, Options{Now: time.Now(), Window: time.Hour})
		must(t, err)
		r := Check(f)
		var out bytes.Buffer
		must(t, r.Write(&out))
		return r, out.String()
	}
	r, text := look(b.Addr())
	if len(r.Findings) > 0 || strings.Contains(text, "Kafka v") || !strings.Contains(text, "the embedded broker of orderly") || !strings.Contains(text, "orders") {
		t.Errorf("%+v in\n%s", r.Findings, text)
	}
	apart := map[string]string{}
	for _, u := range r.NotChecked {
		apart[u.Rule] = u.Why
	}
	for _, id := range []string{"B01", "B08", "B13"} {
		if !strings.Contains(apart[id], "rules of brokers do not apply") {
			t.Errorf("%s: %q", id, apart[id])
		}
	}
	if strings.Contains(strings.Join(r.Checked, " "), "B08") || !strings.Contains(strings.Join(r.Checked, " "), "B12") {
		t.Errorf("checked %v", r.Checked)
	}

	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	must(t, err)
	defer c.Close()
	if r, text := look(c.ListenAddrs()...); !r.Fails(finding.Error) || strings.Contains(text, "embedded") {
		t.Errorf("%s", text)
	}
}
