package localbroker

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func run(ctx context.Context, args ...string) (out string, err error) {
	var b bytes.Buffer
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	err = cmd.ExecuteContext(ctx)
	return b.String(), err
}

func TestSettingsAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ args, want string }{
		{"", `--data "": name a directory`},
		{"--data D --listen 0.0.0.0:9092", "127.0.0.1:9092, or this machine's own address"},
		{"--data D --listen [::]:9092", "so it must be one that they reach"},
		{"--data D --listen :9092", "so it must be one that they reach"},
		{"--data D --listen localhost", "host:port is asked for"},
		{"--data D --listen localhost:kafka", `port "kafka" is no number`},
		{"--data D --topic orders", "NAME:PARTITIONS is asked for"},
		{"--data D --topic orders:0", "a number from 1 to 10000"},
		{"--data D --topic a/b:1", "a topic's name has 1 to 249 characters"},
	} {
		var usage *UsageError
		if _, err := run(t.Context(), strings.Fields(strings.ReplaceAll(c.args, "D", dir))...); !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	var le *ListenError
	if _, err := run(t.Context(), "--data", t.TempDir(), "--listen", ln.Addr().String()); !errors.As(err, &le) || !strings.Contains(err.Error(), "--listen 127.0.0.1:0") {
		t.Errorf("%v", err)
	}
}

// What the broker is not is said at start and in the help.
func TestLimitsAreSaid(t *testing.T) {
	help, err := run(t.Context(), "--help")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(help, "no replication") {
		t.Errorf("help:\n%s", help)
	}
	startChild(t, nil, "--data", t.TempDir(), "--listen", "127.0.0.1:0").awaitSaid("no replication")
}

func TestTopics(t *testing.T) {
	b, said := mustOpen(t, t.TempDir())
	orders := Topic{"orders", 3}
	for range 2 { // the second time they are there
		if err := b.EnsureTopics(orders, Topic{"other", 1}); err != nil {
			t.Fatal(err)
		}
	}
	var usage *UsageError
	if err := b.EnsureTopics(Topic{"orders", 4}); !errors.As(err, &usage) || !strings.Contains(err.Error(), "ask for orders:3") {
		t.Errorf("%v", err)
	}
	// A name that nobody made is no topic, by default.
	cl := newClient(t, kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	if err := cl.ProduceSync(withPatience(t), &kgo.Record{Topic: "mistyped"}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("%v", err)
	}
	if s := said.String(); s != "" {
		t.Errorf("a new directory: %s", s)
	}
}

func TestAutoCreate(t *testing.T) {
	b, err := Open(t.Context(), Options{Dir: t.TempDir(), AutoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	cl := newClient(t, kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(withPatience(t), &kgo.Record{Topic: "new"}).FirstErr(); err != nil {
		t.Errorf("%v", err)
	}
}

// An address of this machine in a network works, is what clients are told, and
// is called open.
func TestAddressThatOthersReach(t *testing.T) {
	ip := ownAddress(t)
	said := new(notices)
	b, err := Open(t.Context(), Options{Dir: t.TempDir(), Listen: net.JoinHostPort(ip, "0"), Notice: said.add})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := b.EnsureTopics(Topic{"orders", 1}); err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic("orders"))
	if err := cl.ProduceSync(withPatience(t), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Error(err)
	}
	brokers, err := kadm.NewClient(cl).ListBrokers(withPatience(t))
	if err != nil || len(brokers) != 1 || brokers[0].Host != ip {
		t.Errorf("clients are sent to %v, not to %s: %v", brokers, ip, err)
	}
	if open := strings.Contains(said.String(), "open to other machines"); open == net.ParseIP(ip).IsLoopback() {
		t.Errorf("%s: %s", ip, said)
	}
}

// ownAddress is one in a network, or another of the loopback interface where
// there is no network.
func ownAddress(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}
