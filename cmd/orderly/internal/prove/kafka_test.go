package prove

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The same on three nodes of real Kafka: what is written and processed holds, beside
// a control that breaks, and nothing is left behind.
func TestRealKafka(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	properties := maps.Clone(nodeProperties)
	properties["group.min.session.timeout.ms"] = "500"
	opts := kafkatest.Options{Nodes: 3, Properties: properties}
	creds, err := opts.Secure(t.TempDir())
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
	for _, w := range []Workload{EndToEnd, Growth} {
		res := prove(t, Config{Workload: w, Brokers: cluster.Addrs(), Records: 150, Limit: 2 * time.Minute})
		if res.Verdict.Verdict != judge.Held {
			t.Errorf("%s: %s: %v", w, res.Verdict.Verdict, res.Verdict.Reasons)
		}
		t.Log(w, res.Elapsed, res.Verdict.Reason, res.Control.Report.Counts)
	}
	ca, err := os.ReadFile(creds.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	requireSecure(t, Producer, cluster.ListenerAddrs(kafkatest.SCRAM), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		scram.Auth{User: creds.User, Pass: creds.Password}.AsSha256Mechanism())
	requireSlow(t, prove(t, slow(cluster.Addrs()...)))
	for _, name := range []string{"retry-reorder", "sequence-numbers"} {
		res, err := FindScenario(name).Run(t.Context(), Config{Version: "test", Seed: 7, Records: 150, Brokers: cluster.Addrs()})
		if err != nil {
			t.Fatal(err)
		}
		if !res.Shown {
			t.Errorf("%s: %+v", name, res.Cases)
		}
	}
	// Those that kill brokers; the nodes are all there again after each.
	for _, name := range []string{"leader-failover", "unclean-election"} {
		res, err := FindScenario(name).Run(t.Context(), Config{Version: "test", Seed: 7, Nodes: cluster})
		if err != nil {
			t.Fatal(name, err)
		}
		var text strings.Builder
		if err := res.Write(&text); err != nil {
			t.Fatal(err)
		}
		t.Log(text.String())
		if !res.Shown {
			t.Errorf("%s is not shown", name)
		}
	}
	world, err := openWorld(t.Context(), &Config{Brokers: cluster.Addrs(), Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = world.close(t.Context()) }()
	// The nodes learn one after the other that a topic is gone.
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); ; <-look.C {
		topics, err := world.adm.ListTopics(t.Context())
		if err == nil && len(topics.Names()) == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("topics left: %q, %v", topics.Names(), err)
		}
	}
}
