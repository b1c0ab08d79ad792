package proxy

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests that the proxy looks into.
const (
	apiProduce            = 0
	apiFetch              = 1
	apiMetadata           = 3
	apiOffsetCommit       = 8
	apiOffsetFetch        = 9
	apiFindCoordinator    = 10
	apiJoinGroup          = 11
	apiHeartbeat          = 12
	apiSyncGroup          = 14
	apiSASLHandshake      = 17
	apiVersions           = 18
	apiCreateTopics       = 19
	apiEndTxn             = 26
	apiTxnOffsetCommit    = 28
	apiSASLAuthenticate   = 36
	apiDescribeQuorum     = 55
	apiDescribeCluster    = 60
	apiGroupHeartbeat     = 68 // ConsumerGroupHeartbeat
	apiDescribePartitions = 75
	apiShareFetch         = 78
	apiShareAcknowledge   = 79
)

// A known request: the versions up to highest can be read, from flexible on with
// tagged fields.
type known struct {
	highest, flexible int16
	there             bool
}

var requests = func() (table [128]known) {
	for key := range table {
		req := kmsg.RequestForKey(int16(key))
		if req == nil {
			continue
		}
		k := known{highest: req.MaxVersion(), flexible: req.MaxVersion() + 1, there: true}
		for v := req.MaxVersion(); v >= 0; v-- {
			if req.SetVersion(v); req.IsFlexible() {
				k.flexible = v
			}
		}
		table[key] = k
	}
	// Its later versions name the controllers' addresses, which no client
	// connects to and the proxy does not stand in for.
	table[apiDescribeQuorum].highest = 1
	return table
}()

func knownRequest(key int16) (known, bool) {
	if key < 0 || int(key) >= len(requests) {
		return known{}, false
	}
	return requests[key], requests[key].there
}

func flexible(key, version int16) bool {
	k, ok := knownRequest(key)
	return ok && version >= k.flexible
}

// readable reports whether the answer can be read: what cannot might name an
// address.
func readable(key, version int16) bool {
	k, ok := knownRequest(key)
	return ok && version >= 0 && version <= k.highest
}

// clampVersions takes out of an answer to ApiVersions what the proxy cannot read.
// A broker that does not know the version answers in version 0.
func clampVersions(r *request, frame []byte) ([]byte, error) {
	c := cursor{buf: frame, at: 4}
	version := r.version
	if c.int16() == errUnsupportedVersion {
		version = 0
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.SetVersion(version)
	if c.bad {
		return nil, errShort
	}
	if err := decode(resp, frame[4:]); err != nil {
		return nil, err
	}
	resp.ApiKeys = slices.DeleteFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
		can, ok := knownRequest(k.ApiKey)
		return !ok || can.highest < k.MinVersion
	})
	for i := range resp.ApiKeys {
		k := &resp.ApiKeys[i]
		can, _ := knownRequest(k.ApiKey)
		k.MaxVersion = min(k.MaxVersion, can.highest)
	}
	return resp.AppendTo(frame[:4:4]), nil
}

// tooNew answers an ApiVersions request of a version that the proxy does not know,
// as a broker would: in version 0, with what it knows.
func tooNew(r *request) []byte {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = errUnsupportedVersion
	can, _ := knownRequest(apiVersions)
	key := kmsg.NewApiVersionsResponseApiKey()
	key.ApiKey, key.MaxVersion = apiVersions, can.highest
	resp.ApiKeys = append(resp.ApiKeys, key)
	old := *r
	old.version = 0
	return old.answer(resp)
}

const errUnsupportedVersion = 35
