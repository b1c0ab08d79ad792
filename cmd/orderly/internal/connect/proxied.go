package connect

import (
	"crypto/tls"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Given says that the settings name a cluster, and that it is not only the default
// address that they have.
func (s *Settings) Given() bool { return s.Local.Origin != "" || s.values[Brokers].Origin != "default" }

// Proxied are the settings for a proxy that stands between clients and the cluster:
// its TLS towards the brokers (nil: none), and options of clients that connect to it
// without.
func (s *Settings) Proxied() (upstream *tls.Config, opts []kgo.Opt, err error) {
	if s.tls() {
		if upstream, err = s.tlsConfig(); err != nil {
			return nil, nil, err
		}
	}
	if s.sasl() {
		opts = append(opts, kgo.SASL(s.mechanism()))
	}
	return upstream, opts, nil
}
