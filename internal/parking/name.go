package parking

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	// DefaultPrefix is what the names of parking topics begin with.
	DefaultPrefix = "orderly-parked"

	maxName  = 249 // Kafka's limit
	sumBytes = 8   // of SHA-256, as 16 hex digits
)

// TopicName returns the name of the parking topic of a group and a source topic.
// Bytes of both outside A-Z, a-z, 0-9 and '-' become _hh, so that the two dots
// that we write are the only ones after the prefix and distinct pairs have
// distinct names. A name that Kafka would refuse for its length is cut and ends
// in 16 hex digits of the whole name's SHA-256.
func TopicName(prefix, group, topic string) (string, error) {
	if err := checkPrefix(prefix); err != nil {
		return "", err
	}
	name := prefix + "." + escape(group) + "." + escape(topic)
	if len(name) <= maxName {
		return name, nil
	}
	sum := sha256.Sum256([]byte(name))
	// The two '_' are what no uncut name has in this place,
	// for '_' is always followed by two hex digits there.
	tail := "__" + hex.EncodeToString(sum[:sumBytes])
	return name[:maxName-len(tail)] + tail, nil
}

// checkPrefix refuses prefixes that make no topic name, or that leave no room for
// a readable part of group and topic.
func checkPrefix(prefix string) error {
	legal := prefix != "" && len(prefix) <= maxName/2
	for i := 0; i < len(prefix); i++ {
		legal = legal && (plain(prefix[i]) || prefix[i] == '.' || prefix[i] == '_')
	}
	if !legal {
		return fmt.Errorf("parking: prefix %q cannot begin a topic's name: use 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'", prefix, maxName/2)
	}
	return nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}
