package connect

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var (
	protocols  = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
)

// check finds what does not go together, and says which protocol is used when
// none was named.
func (r *resolver) check() {
	s := r.s
	for _, b := range s.BrokerList() {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
			r.bad("%s (%s): %q is no host:port", Brokers, s.values[Brokers].Origin, b)
		}
	}
	if s.Local.Origin != "" {
		for _, x := range settings {
			v := s.values[x.name]
			switch x.name {
			case Topic, Group, ClientID:
			default:
				if v.Origin != "" && v.Origin != "default" {
					r.bad("%s (%s) goes to another place than %s: the embedded broker has its own address and neither TLS nor passwords; leave one of them out",
						x.name, v.Origin, s.Local.Origin)
				}
			}
		}
		return
	}
	r.oneOf(Protocol, protocols)
	r.oneOf(SASLMechanism, mechanisms)
	files := slices.DeleteFunc([]string{CA, Certificate, PrivateKey}, func(n string) bool { return s.Get(n) == "" })
	users := slices.DeleteFunc([]string{SASLMechanism, SASLUsername, SASLPassword}, func(n string) bool { return s.Get(n) == "" })
	if s.Get(Protocol) == "" {
		switch {
		case len(users) > 0:
			// Never a password in the clear unless it was asked for by name.
			s.values[Protocol] = Value{"SASL_SSL", "default, as " + users[0] + " is set"}
		case len(files) > 0:
			s.values[Protocol] = Value{"SSL", "default, as " + files[0] + " is set"}
		default:
			s.values[Protocol] = Value{"PLAINTEXT", "default"}
		}
	}
	protocol := s.values[Protocol]
	if len(files) > 0 && !s.tls() {
		r.bad("%s is set, and %s is %s (%s), which has no TLS: use SSL or SASL_SSL", strings.Join(files, ", "), Protocol, protocol.Text, protocol.Origin)
	}
	if len(users) > 0 && !s.sasl() {
		r.bad("%s is set, and %s is %s (%s), which has no users: use SASL_SSL or SASL_PLAINTEXT", strings.Join(users, ", "), Protocol, protocol.Text, protocol.Origin)
	}
	if s.sasl() {
		for _, n := range []string{SASLMechanism, SASLUsername, SASLPassword} {
			if s.Get(n) == "" && !r.named(n) {
				r.bad("%s is missing, and %s (%s) needs it%s", n, protocol.Text, protocol.Origin, wayTo(n))
			}
		}
	}
	if (s.Get(Certificate) == "") != (s.Get(PrivateKey) == "") {
		r.bad("%s and %s are set together or not at all", Certificate, PrivateKey)
	}
}

// named reports that a problem about the setting is told already.
func (r *resolver) named(name string) bool {
	return slices.ContainsFunc(r.problems, func(p string) bool {
		return strings.HasPrefix(p, name) || name == SASLPassword && strings.HasPrefix(p, "password file")
	})
}

func wayTo(name string) string {
	s := find(name)
	if s.secret {
		return ": set " + s.env + ", or --" + passwordFlag
	}
	return ": set --" + s.flag + " or " + s.env
}

func (r *resolver) oneOf(name string, allowed []string) {
	v, ok := r.s.values[name]
	if !ok {
		return
	}
	up := strings.ToUpper(v.Text)
	if !slices.Contains(allowed, up) {
		// GSSAPI, OAUTHBEARER ... are names, not secrets.
		r.bad("%s %q (%s) is not supported: %s", name, v.Text, v.Origin, strings.Join(allowed, ", "))
		delete(r.s.values, name)
		return
	}
	r.s.values[name] = Value{up, v.Origin}
}

func (s *Settings) tls() bool  { return strings.HasSuffix(s.Get(Protocol), "SSL") }
func (s *Settings) sasl() bool { return strings.HasPrefix(s.Get(Protocol), "SASL") }

// Options are the client options for TLS, SASL and the client's name. The files
// are read here; an Error names those that cannot be.
func (s *Settings) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.ClientID(s.Get(ClientID))}
	if s.tls() {
		c, err := s.tlsConfig()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	}
	if s.sasl() {
		opts = append(opts, kgo.SASL(s.mechanism()))
	}
	return opts, nil
}

func (s *Settings) mechanism() sasl.Mechanism {
	user, password := s.Get(SASLUsername), s.Get(SASLPassword)
	switch s.Get(SASLMechanism) {
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	}
	return plain.Auth{User: user, Pass: password}.AsMechanism()
}

func (s *Settings) tlsConfig() (*tls.Config, error) {
	var problems []string
	read := func(name string) []byte {
		v := s.values[name]
		if v.Text == "" {
			return nil
		}
		text, err := readText(v.Text)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s (%s): %v", name, v.Origin, err))
		} else if block, _ := pem.Decode(text); block == nil {
			problems = append(problems, fmt.Sprintf("%s (%s): %s is not a PEM file: it has no line -----BEGIN ...-----", name, v.Origin, v.Text))
			return nil
		}
		return text
	}
	ca, cert, key := read(CA), read(Certificate), read(PrivateKey)
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, &Error{Problems: []string{fmt.Sprintf("%s: %s has no certificate in it", CA, s.Get(CA))}}
		}
	}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, &Error{Problems: []string{fmt.Sprintf("%s %s and %s %s: %v", Certificate, s.Get(Certificate), PrivateKey, s.Get(PrivateKey), err)}}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
