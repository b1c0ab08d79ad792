package proxy

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawTokens is how often client and broker exchange tokens without a Kafka header,
// which is what version 0 of the handshake leads to, by mechanism.
var rawTokens = map[string]int{"PLAIN": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}

const gssapi = "GSSAPI"

// special takes what is about the connection itself.
func (c *conn) special(r *request) (handled bool, err error) {
	switch {
	case r.key == apiVersions && !readable(r.key, r.version):
		return true, c.push(&expect{r: *r, local: tooNew(r)})
	case r.key == apiSASLHandshake:
		return c.handshake(r)
	case r.key == apiSASLAuthenticate:
		c.authed = true
	case readable(r.key, r.version):
	case carriesAddresses(r.key):
		return false, &Obstacle{"an unknown version", fmt.Sprintf("the client %q sends %s version %d, and the proxy reads up to %d, which it says when it is asked (ApiVersions); "+
			"let the client ask, or set its version lower", r.client, r.name(), r.version, requests[r.key].highest)}
	default:
		if _, ok := knownRequest(r.key); !ok {
			return false, &Obstacle{"an unknown request", fmt.Sprintf("the client %q sends request %d, which the proxy does not know: its answer might lead the client around the proxy", r.client, r.key)}
		}
	}
	return false, nil
}

func (c *conn) handshake(r *request) (handled bool, err error) {
	cur := cursor{buf: r.frame, at: r.body}
	mechanism := string(cur.text(false))
	if cur.bad {
		return false, errShort
	}
	raw, known := rawTokens[mechanism]
	switch {
	case mechanism == gssapi:
		_ = c.p.obstructed(kerberos())
		resp := kmsg.NewPtrSASLHandshakeResponse()
		resp.ErrorCode, resp.SupportedMechanisms = codeUnsupportedSASL, []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
		return true, c.push(&expect{r: *r, local: r.answer(resp)})
	case r.version == 0 && !known:
		return false, &Obstacle{"SASL", fmt.Sprintf("the client %q uses mechanism %s in the form of Kafka before 1.0, of which the proxy does not know the end", r.client, mechanism)}
	case r.version == 0:
		c.raw, c.authed = raw, true
	}
	return false, nil
}

// withoutKerberos takes GSSAPI out of what the broker offers. A broker that has
// nothing else is an obstacle.
func (p *Proxy) withoutKerberos(r *request, frame []byte) ([]byte, error) {
	resp := kmsg.NewPtrSASLHandshakeResponse()
	body, err := decodeAnswer(r, frame, resp)
	if err != nil {
		return nil, err
	}
	had := len(resp.SupportedMechanisms)
	resp.SupportedMechanisms = slices.DeleteFunc(resp.SupportedMechanisms, func(m string) bool { return m == gssapi })
	if had > 0 && len(resp.SupportedMechanisms) == 0 {
		_ = p.obstructed(kerberos())
	}
	return encode(frame, body, resp), nil
}
