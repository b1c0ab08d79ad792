package prove

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/judge"
	"github.com/orderly-go/orderly/cmd/orderly/internal/proxy"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Over TLS and with a password the experiment is the same: its clients speak to the
// proxies without TLS.
func TestSecure(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(leaf)
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", "secret"), kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	mechanism := scram.Auth{User: "u", Pass: "secret"}.AsSha512Mechanism()
	requireSecure(t, EndToEnd, c.ListenAddrs(), trusting, mechanism)

	// Whoever does not trust the brokers, or shows no password, does not get in, and
	// no verdict.
	for name, cfg := range map[string]Config{
		"no authority": {TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Opts: []kgo.Opt{kgo.SASL(mechanism)}},
		"no TLS":       {Opts: []kgo.Opt{kgo.SASL(mechanism)}},
		"wrong password": {TLS: trusting, Opts: []kgo.Opt{
			kgo.SASL(scram.Auth{User: "u", Pass: "wrong"}.AsSha512Mechanism())}},
	} {
		cfg = weakControl(cfg)
		cfg.Workload, cfg.Brokers = Producer, c.ListenAddrs()
		cfg.Opts = append(cfg.Opts, kgo.RetryTimeout(time.Second))
		if res, err := Run(t.Context(), cfg, nil); err == nil {
			t.Errorf("%s: %s", name, res.Verdict.Verdict)
		}
	}
}

// requireSecure fails unless orderly holds on brokers with TLS and a password, and a
// client that speaks TLS to a proxy, by the proxy's own authority, gets through, too.
func requireSecure(t *testing.T, w Workload, brokers []string, trusting *tls.Config, mechanism sasl.Mechanism) {
	t.Helper()
	res := prove(t, Config{
		Workload: w, Brokers: brokers, Records: 80, TLS: trusting, Opts: []kgo.Opt{kgo.SASL(mechanism)}, Limit: time.Minute,
	})
	if res.Verdict.Verdict != judge.Held {
		t.Errorf("%s: %v", res.Verdict.Verdict, res.Verdict.Reasons)
	}
	own, ca, err := proxy.NewAuthority("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no authority")
	}
	p, err := proxy.Start(t.Context(), proxy.Config{Upstream: brokers, UpstreamTLS: trusting, TLS: own})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.Addr()), kgo.SASL(mechanism), kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
