package kafkatest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The listeners of Secure let those in who have what they ask for, and nobody else.
func TestSecure(t *testing.T) {
	if !Require(t, Latest) {
		return
	}
	var opts Options
	creds, err := opts.Secure(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	ca, err := os.ReadFile(creds.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in the authority's file")
	}
	pair, err := tls.LoadX509KeyPair(creds.Certificate, creds.Key)
	if err != nil {
		t.Fatal(err)
	}
	known := kgo.DialTLSConfig(&tls.Config{RootCAs: roots})
	user := scram.Auth{User: creds.User, Pass: creds.Password}
	stranger := scram.Auth{User: creds.User, Pass: creds.Password + "x"}
	for _, c := range []struct {
		name, listener string
		opts           []kgo.Opt
		in             bool
	}{
		{"certificate", TLS, []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})}, true},
		{"no certificate", TLS, []kgo.Opt{known}, false},
		{"authority not known", TLS, []kgo.Opt{kgo.DialTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}})}, false},
		{"SCRAM-SHA-256", SCRAM, []kgo.Opt{known, kgo.SASL(user.AsSha256Mechanism())}, true},
		{"SCRAM-SHA-512", SCRAM, []kgo.Opt{known, kgo.SASL(user.AsSha512Mechanism())}, true},
		{"wrong password", SCRAM, []kgo.Opt{known, kgo.SASL(stranger.AsSha512Mechanism())}, false},
		{"no user", SCRAM, []kgo.Opt{known}, false},
	} {
		cl, err := kgo.NewClient(append(c.opts, kgo.SeedBrokers(cluster.ListenerAddrs(c.listener)...), kgo.RequestRetries(1))...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := cl.Ping(ctx); (err == nil) != c.in {
			t.Errorf("%s: %v", c.name, err)
		}
		cancel()
		cl.Close()
	}
}
