package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// brokerTLS is a certificate for brokers on this machine, and who trusts it.
func brokerTLS(t testing.TB) (server, trusting *tls.Config, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "brokers"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, pool
}

var mechanisms = map[string]sasl.Mechanism{
	"PLAIN":         plain.Auth{User: "u", Pass: "secret"}.AsMechanism(),
	"SCRAM-SHA-256": scram.Auth{User: "u", Pass: "secret"}.AsSha256Mechanism(),
	"SCRAM-SHA-512": scram.Auth{User: "u", Pass: "secret"}.AsSha512Mechanism(),
}

// Passwords pass, over TLS to the brokers, with and without TLS to the client, and
// so do faults; a batch is sent again on the connection that has shown who it is.
func TestPasswords(t *testing.T) {
	server, trusting, _ := brokerTLS(t)
	for name, mechanism := range mechanisms {
		for _, secure := range []bool{false, true} {
			c := startCluster(t, 3, kfake.EnableSASL(), kfake.Superuser(name, "u", "secret"), kfake.TLS(server))
			cfg := Config{UpstreamTLS: trusting, Identify: byValue, Seed: 7, Faults: []Fault{{Kind: Replay, Share: 0.02}}}
			opts := append(inflight(5, kgo.AllISRAcks()), kgo.SASL(mechanism))
			if secure {
				own, ca, err := NewAuthority("127.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				pool := x509.NewCertPool()
				if !pool.AppendCertsFromPEM(ca) {
					t.Fatal("no authority")
				}
				cfg.TLS = own
				opts = append(opts, kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
			}
			p := startProxy(t, c.ListenAddrs(), cfg)
			if failed := write(t, p.Addr(), 500, opts...); failed > 0 {
				t.Errorf("%s: %d failed", name, failed)
			}
			hits := p.await(t, "the replays", func(hits []Hit) bool { return int64(len(hits)) == p.Facts().Counts[0].Requests && len(hits) > 0 })
			for _, h := range hits {
				// The client may have closed its connection already.
				if h.Late == nil && !strings.Contains(h.Note, "not sent again") || h.Late != nil && *h.Late != 0 {
					t.Errorf("%s: %+v", name, h)
				}
			}
		}
	}
}

// A wrong password is refused by the broker, as without the proxy.
func TestWrongPassword(t *testing.T) {
	c := startCluster(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "secret"))
	p := startProxy(t, c.ListenAddrs(), Config{})
	var said []string
	for _, addr := range []string{c.ListenAddrs()[0], p.Addr()} {
		cl := client(t, []string{addr}, kgo.SASL(plain.Auth{User: "u", Pass: "wrong"}.AsMechanism()))
		err := cl.Ping(t.Context())
		if err == nil {
			t.Fatal("it was let in")
		}
		said = append(said, err.Error())
	}
	if said[0] != said[1] {
		t.Errorf("through the proxy %q, else %q", said[1], said[0])
	}
}

// Version 0 of the handshake leads to tokens without a header: after them the
// connection is Kafka again. The broker here only answers each frame in order.
func TestRawTokens(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := broker.Accept()
			if err != nil {
				return
			}
			for n := 0; ; n++ {
				frame, err := readFrame(nc)
				if err != nil {
					break
				}
				r, err := parseRequest(frame)
				switch {
				case n == 0 && r.key == apiSASLHandshake:
					resp := kmsg.NewPtrSASLHandshakeResponse()
					resp.SupportedMechanisms = []string{"GSSAPI", "SCRAM-SHA-256"}
					frame = r.answer(resp)
				case err == nil && r.key == apiVersions:
					frame = r.answer(kmsg.NewPtrApiVersionsResponse())
				}
				if writeFrame(nc, frame) != nil { // a token is given back as it is
					break
				}
			}
			_ = nc.Close()
		}
	}()
	p := startProxy(t, []string{broker.Addr().String()}, Config{})
	w := dialWire(t, p.Addr())
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Mechanism = "SCRAM-SHA-256"
	w.send(hello, 0)
	frame, err := readFrame(w.in)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrSASLHandshakeResponse()
	if err := resp.ReadFrom(frame[4:]); err != nil || len(resp.SupportedMechanisms) != 1 || resp.SupportedMechanisms[0] != "SCRAM-SHA-256" {
		t.Errorf("%+v, %v", resp, err)
	}
	for _, token := range []string{"first", "\x00\x00\x00\x63second"} {
		if err := writeFrame(w, []byte(token)); err != nil {
			t.Fatal(err)
		}
		if got, err := readFrame(w.in); err != nil || string(got) != token {
			t.Fatalf("%q, %v, want %q", got, err, token)
		}
	}
	w.send(kmsg.NewPtrApiVersionsRequest(), 0)
	if frame, err = readFrame(w.in); err != nil || correlationOf(frame) != 42 {
		t.Errorf("%q, %v", frame, err)
	}
	_ = broker.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

// Kerberos is refused by name.
func TestKerberos(t *testing.T) {
	c := startCluster(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "secret"))
	p := startProxy(t, c.ListenAddrs(), Config{})
	w := dialWire(t, p.Addr())
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Mechanism = "GSSAPI"
	w.send(hello, 1)
	frame, err := readFrame(w.in)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrSASLHandshakeResponse()
	if err := resp.ReadFrom(frame[4:]); err != nil || resp.ErrorCode != codeUnsupportedSASL {
		t.Errorf("%+v, %v", resp, err)
	}
	if o := p.Facts().Obstacles; len(o) != 1 || !strings.HasPrefix(o[0].Error(), "inconclusive: Kerberos: ") {
		t.Errorf("%v", o)
	}
}

// Brokers that ask clients for a certificate are refused by name, at the start,
// whichever version of TLS tells it, and also when we were given one.
func TestMutualTLS(t *testing.T) {
	server, trusting, pool := brokerTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := server.Clone()
		server.ClientAuth, server.ClientCAs, server.MaxVersion = tls.RequireAndVerifyClientCert, pool, version
		c := startCluster(t, 1, kfake.TLS(server))
		own := trusting.Clone()
		own.Certificates = server.Certificates
		for _, cfg := range []*tls.Config{trusting, own} {
			_, err := Start(t.Context(), Config{Upstream: c.ListenAddrs(), UpstreamTLS: cfg})
			if o, ok := errors.AsType[*Obstacle](err); !ok || o.What != "mutual TLS" || !strings.HasPrefix(err.Error(), "inconclusive: ") {
				t.Errorf("TLS %x: %v", version, err)
			}
		}
		// One that only would like to see one does without.
		server = server.Clone()
		server.ClientAuth = tls.RequestClientCert
		c = startCluster(t, 1, kfake.TLS(server))
		p := startProxy(t, c.ListenAddrs(), Config{UpstreamTLS: trusting})
		if failed := write(t, p.Addr(), 100, safe...); failed > 0 {
			t.Errorf("TLS %x: %d failed", version, failed)
		}
	}
}
