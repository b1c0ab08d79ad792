package connect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/localbroker"
	"github.com/twmb/franz-go/pkg/kfake"
)

// authority makes a certificate for the loopback address that vouches for
// itself.
func authority(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// ping connects with settings.
func ping(t *testing.T, s *Settings) error {
	t.Helper()
	c, err := s.Open(t.Context(), t.Output())
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.Ping(t.Context()); err != nil {
		return err
	}
	return c.Close()
}

func TestTLSAndUsers(t *testing.T) {
	cert, key := authority(t)
	certFile, keyFile := file(t, "cert.pem", string(cert)), file(t, "key.pem", string(key))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	for _, m := range mechanisms {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(m, "u", secret),
			kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		args := []string{"-b", c.ListenAddrs()[0], "--tls-ca", certFile, "--tls-cert", certFile, "--tls-key", keyFile, "--sasl-mechanism", m, "--sasl-username", "u"}
		s, err := settle(t, args, "ORDERLY_SASL_PASSWORD="+secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(t, s); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// A file that is missing, or is not what it should be, is named.
func TestTLSFiles(t *testing.T) {
	cert, key := authority(t)
	good, goodKey := file(t, "cert.pem", string(cert)), file(t, "key.pem", string(key))
	_, otherKey := authority(t)
	other := file(t, "other.pem", string(otherKey))
	absent, text := filepath.Join(t.TempDir(), "absent.pem"), file(t, "text.pem", "hello")
	for _, c := range []struct{ ca, cert, key, want string }{
		{absent, good, goodKey, CA + " (flag --tls-ca): " + absent + " is not there"},
		{good, absent, goodKey, Certificate + " (flag --tls-cert): " + absent + " is not there"},
		{good, good, absent, PrivateKey + " (flag --tls-key): " + absent + " is not there"},
		{text, good, goodKey, "is not a PEM file"},
		{goodKey, good, goodKey, "has no certificate in it"},
		{good, good, other, "private key does not match"},
	} {
		s, err := settle(t, []string{"--tls-ca", c.ca, "--tls-cert", c.cert, "--tls-key", c.key})
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(t, s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// --local serves the folder for the call, or connects to who does.
func TestLocal(t *testing.T) {
	dir := t.TempDir()
	s, err := settle(t, []string{"--local", dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(t, s); err != nil {
		t.Fatal(err)
	}
	b, err := localbroker.Open(t.Context(), localbroker.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if err := ping(t, s); err != nil {
		t.Error(err)
	}
	if row := s.Rows()[0]; row.Origin != "flag --local" || !strings.Contains(row.Value, dir) {
		t.Errorf("%+v", row)
	}
}
