package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Names of the listeners that Options.Secure adds.
const (
	// TLS asks clients for a certificate.
	TLS = "TLS"
	// SCRAM asks them for a user, over TLS, with SCRAM-SHA-256 or SCRAM-SHA-512.
	SCRAM = "SCRAM"
)

// Credentials are what clients of the listeners TLS and SCRAM need. The files are
// PEM.
type Credentials struct {
	CA               string // the authority of the brokers' certificate
	Certificate, Key string // the client's own, of the same authority
	User, Password   string // known in both mechanisms, each with its own salt
}

// Secure adds the listeners TLS and SCRAM. Certificates that are made for this
// cluster alone, valid for a day, go into dir, which has to stay while it runs.
func (o *Options) Secure(dir string) (Credentials, error) {
	c := Credentials{
		CA: filepath.Join(dir, "ca.pem"), Certificate: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client-key.pem"),
		User: "orderly", Password: rand.Text(),
	}
	store := filepath.Join(dir, "broker.pem") // key and chain in one file, as Kafka wants it
	if err := c.certificates(store); err != nil {
		return c, fmt.Errorf("kafkatest: making certificates: %w", err)
	}
	o.Listeners = with(o.Listeners, map[string]string{TLS: "SSL", SCRAM: "SASL_SSL"})
	const login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	o.Properties = with(o.Properties, map[string]string{
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   store,
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": c.CA,

		"listener.name.tls.ssl.client.auth":                  "required",
		"listener.name.scram.sasl.enabled.mechanisms":        "SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.scram.scram-sha-256.sasl.jaas.config": login,
		"listener.name.scram.scram-sha-512.sasl.jaas.config": login,
	})
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		o.Format = append(o.Format[:len(o.Format):len(o.Format)], "--add-scram",
			fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, c.User, c.Password))
	}
	return c, nil
}

// with is a copy of m with more in it: the caller's map stays as it is.
func with(m, more map[string]string) map[string]string {
	out := maps.Clone(more)
	maps.Copy(out, m)
	return out
}

// certificates writes all files: an authority, one certificate for all brokers,
// one for clients.
func (c *Credentials) certificates(store string) error {
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "orderly test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caCert, caKey, err := issue(ca, nil, nil)
	if err != nil {
		return err
	}
	broker := &x509.Certificate{
		Subject: pkix.Name{CommonName: "broker"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	brokerCert, brokerKey, err := issue(broker, ca, caKey)
	if err != nil {
		return err
	}
	client := &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	clientCert, clientKey, err := issue(client, ca, caKey)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		cert []byte // DER; nil: not in this file
		key  *ecdsa.PrivateKey
	}{
		{c.CA, caCert, nil}, {store, brokerCert, brokerKey}, {c.Certificate, clientCert, nil}, {c.Key, nil, clientKey},
	} {
		var text []byte
		if f.key != nil {
			der, err := x509.MarshalPKCS8PrivateKey(f.key)
			if err != nil {
				return err
			}
			text = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		}
		if f.cert != nil {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.cert})...)
		}
		if err := os.WriteFile(f.path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// issue signs a certificate for a new key; without a parent it signs itself.
func issue(cert, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = cert, key
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	cert.SerialNumber = serial
	// Clocks of one machine agree, but the start may be rounded up to a second.
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err = x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, parentKey)
	return der, key, err
}
