package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Real Kafka on three nodes, with its own Java client: the anomalies of weak
// settings, none of the defaults, through a leader that moves; KIP-848 heartbeats;
// passwords over TLS; and a listener that asks for certificates.
func TestRealKafka(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	opts := kafkatest.Options{Nodes: 3, Properties: map[string]string{
		"group.consumer.min.session.timeout.ms": "1000", "group.consumer.session.timeout.ms": "3000",
		"group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": "300",
	}}
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
	adm := kadm.NewClient(client(t, cluster.Addrs()))
	create := func(t *testing.T, topic string) string {
		t.Helper()
		resp, err := adm.CreateTopics(t.Context(), testParts, 3, map[string]*string{"min.insync.replicas": ptr("2")}, topic)
		if err == nil {
			err = resp.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		return topic
	}

	// While a broker knows nothing of a producer it takes any first sequence: when
	// the very first batch of a partition is refused and the second is not, the
	// first can never be written (the Java client tries until delivery.timeout.ms
	// and then fails it). So no record of a first batch is chosen.
	later := func(topic string, r *Record) ([]byte, int64, bool) {
		key, number, ok := byValue(topic, r)
		return key, number, ok && number >= 40
	}
	chosen := make(map[Kind][]string)
	weak := []string{"enable.idempotence=false", "acks=all", "batch.size=1000", "linger.ms=1", "retry.backoff.ms=5"}
	for i, c := range []struct {
		fault    string
		settings []string
		want     string // as in TestFaultsShow
	}{
		{"lost-ack:share=1/200", []string{"batch.size=1000", "retry.backoff.ms=5"}, "00"},
		{"lost-ack:share=1/200", append(weak, "max.in.flight.requests.per.connection=1"), "0+"},
		{"lost-ack:share=1/200", weak, "?+"},
		{"refuse:error=19,share=1/200", []string{"batch.size=1000", "retry.backoff.ms=5"}, "00"},
		{"refuse:error=19,share=1/200", append(weak, "max.in.flight.requests.per.connection=1"), "00"},
		{"refuse:error=19,share=1/200", weak, "+?"},
		{"replay:share=1/200", []string{"batch.size=1000"}, "00"},
		{"replay:share=1/200", weak, "0+"},
	} {
		t.Run(fmt.Sprintf("java %d", i), func(t *testing.T) {
			const records = 8000
			topic := create(t, kafkatest.Name(t, "java"))
			f, err := ParseFault(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			p := startProxy(t, cluster.Addrs(), Config{Faults: []Fault{f}, Seed: 7, Identify: later, As: map[string]string{topic: testTopic}})
			failed := java(t, p.Addr(), topic, records, 0, nil, c.settings...)
			p.Heal()
			p.await(t, "the outcome of each fault", func(hits []Hit) bool { return int64(len(hits)) == p.Facts().Counts[0].Requests })
			got := readTopic(t, cluster.Addrs(), topic)
			count := p.Facts().Counts[0]
			// The control is struck at the same records as its subject, on a topic of
			// its own.
			struckNow := struckRecords(t, p.all())
			if before, ok := chosen[f.Kind]; ok && !slices.Equal(before, struckNow) {
				t.Errorf("struck\n%v\nand before\n%v", struckNow, before)
			}
			chosen[f.Kind] = struckNow
			t.Logf("%s %v: %v, %d failed; struck %d requests for %d records", c.fault, c.settings, got, failed, count.Requests, count.Chosen)
			if failed != 0 || got.distinct != records || count.Chosen < 20 || !as(c.want[0], got.inversions) || !as(c.want[1], got.duplicates) {
				t.Errorf("%v, %d failed, want %s", got, failed, c.want)
			}
		})
	}

	// The brokers tell a client where a leader has gone with their own addresses
	// (KIP-951): a client that followed them would write past the proxy.
	t.Run("leader moves", func(t *testing.T) {
		const records = 20_000
		topic := create(t, kafkatest.Name(t, "moves"))
		p := startProxy(t, cluster.Addrs()[:1], Config{})
		failed := java(t, p.Addr(), topic, records, 300, func() {
			if err := cluster.Stop(t.Context(), 3); err != nil {
				t.Error(err)
			}
		})
		if err := cluster.Restart(t.Context(), 3); err != nil {
			t.Error(err)
		}
		got := readTopic(t, cluster.Addrs(), topic)
		f := p.Facts()
		if failed != 0 || got != (tally{records: records, distinct: records}) {
			t.Errorf("%v, %d failed", got, failed)
		}
		for _, c := range f.Clients {
			if c.Client == "writer-java" && c.ProducedRecords < records {
				t.Errorf("%d of %d records came this way: %+v", c.ProducedRecords, records, f)
			}
		}
	})

	t.Run("KIP-848 heartbeats", func(t *testing.T) {
		create(t, testTopic)
		f, err := ParseFault("drop-heartbeat:client=zombie,skip=6,times=1000000")
		if err != nil {
			t.Fatal(err)
		}
		// The group is there before: heartbeats that a coordinator answers while it loads,
		// or before it knows the topic, are not counted among those that are passed.
		first := join(t, cluster.Addrs(), "first", kgo.ServerSideBalancer())
		first.await(t, "all partitions", all)
		first.Close()
		p := startProxy(t, cluster.Addrs(), Config{Faults: []Fault{f}})
		zombie := join(t, []string{p.Addr()}, "zombie", kgo.ServerSideBalancer())
		zombie.await(t, "all partitions", all)
		p.await(t, "a heartbeat dropped", func(hits []Hit) bool { return len(hits) > 0 })
		heir := join(t, cluster.Addrs(), "heir", kgo.ServerSideBalancer())
		heir.await(t, "what is the zombie's", all)
		zombie.mu.Lock()
		defer zombie.mu.Unlock()
		if len(zombie.owned) != testParts || zombie.lost != 0 {
			t.Errorf("the zombie knows that it has lost: %v", zombie.owned)
		}
	})

	t.Run("security", func(t *testing.T) {
		pem, err := os.ReadFile(creds.CA)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			t.Fatal("no authority")
		}
		trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		p := startProxy(t, cluster.ListenerAddrs(kafkatest.SCRAM), Config{UpstreamTLS: trusting})
		cl := client(t, []string{p.Addr()}, kgo.SASL(scram.Auth{User: creds.User, Pass: creds.Password}.AsSha512Mechanism()))
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: create(t, kafkatest.Name(t, "scram")), Value: []byte("1")}).FirstErr(); err != nil {
			t.Error(err)
		}
		_, err = Start(t.Context(), Config{Upstream: cluster.ListenerAddrs(kafkatest.TLS), UpstreamTLS: trusting})
		if o, ok := errors.AsType[*Obstacle](err); !ok || o.What != "mutual TLS" {
			t.Errorf("a listener that asks for certificates: %v", err)
		}
	})
}

// java runs the Java client through the proxy, and gives how many records it says
// have failed; during is called when it has begun.
func java(t *testing.T, addr, topic string, records int, pause int, during func(), settings ...string) (failed int) {
	t.Helper()
	args := append([]string{addr, topic, fmt.Sprint(records), fmt.Sprint(pause)}, settings...)
	cmd, err := kafkatest.JavaSource(t.Context(), kafkatest.Latest, "testdata/Writer.java", args...)
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, t.Output()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if during != nil {
		during()
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("after %s: %v: %s", time.Since(began), err, out.String())
	}
	if _, err := fmt.Sscanf(out.String(), "failed %d", &failed); err != nil {
		t.Fatalf("%v: %q", err, out.String())
	}
	return failed
}
