package deadletter

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// A Letter is what the headers of a dead letter say.
type Letter struct {
	Topic         string
	Partition     int32
	Offset        int64
	Timestamp     time.Time
	TimestampType string // CreateTime or LogAppendTime
	Group         string
	Attempts      int
	Reason        string // permanent or exhausted
	ErrorType     string
	CauseType     string // of the error inside; empty: none
	Message       string
	Stack         string // of a panic
	Token         int64
}

// A Profile is a set of header names.
type Profile string

// The profiles.
const (
	Orderly Profile = "orderly"
	Spring  Profile = "spring"
)

// Names of the orderly profile; all values are UTF-8 text.
const (
	prefix         = "orderly-dlt-"
	hTopic         = prefix + "topic"
	hPartition     = prefix + "partition"
	hOffset        = prefix + "offset"
	hTimestamp     = prefix + "timestamp"
	hTimestampType = prefix + "timestamp-type"
	hGroup         = prefix + "group"
	hAttempts      = prefix + "attempts"
	hReason        = prefix + "reason"
	hErrorType     = prefix + "error-type"
	hError         = prefix + "error"
	hStack         = prefix + "stack"
	hToken         = prefix + "token"
)

// Names of the spring profile, those of Spring for Apache Kafka's dead letters.
const (
	springPrefix    = "kafka_dlt-"
	sTopic          = springPrefix + "original-topic"
	sPartition      = springPrefix + "original-partition"      // 4 bytes, big-endian
	sOffset         = springPrefix + "original-offset"         // 8 bytes, big-endian
	sTimestamp      = springPrefix + "original-timestamp"      // 8 bytes, big-endian, milliseconds
	sTimestampType  = springPrefix + "original-timestamp-type" // CreateTime or LogAppendTime
	sGroup          = springPrefix + "original-consumer-group"
	sErrorType      = springPrefix + "exception-fqcn"
	sCauseType      = springPrefix + "exception-cause-fqcn"
	sMessage        = springPrefix + "exception-message"
	sStack          = springPrefix + "exception-stacktrace"
	sAttempts       = "kafka_deliveryAttempt" // 4 bytes, big-endian
	timestampFormat = "2006-01-02T15:04:05.000Z"
)

// Ours reports that a header was written by a dead letter of either profile: the
// next one replaces it, so that a record that comes back does not grow.
func Ours(name string) bool {
	return strings.HasPrefix(name, prefix) || strings.HasPrefix(name, springPrefix) || name == sAttempts
}

// Headers are the letter's headers in the profile: those that always fit first,
// then the message, then the stack. Message and stack are cut so that all
// together, as Size counts, have limit bytes at the most; the stack first.
func (l *Letter) Headers(p Profile, limit int) []Header {
	hs, message, stack := l.fixed(p)
	left := limit
	for _, h := range hs {
		left -= size(h)
	}
	for _, long := range []struct{ name, text string }{{message, l.Message}, {stack, l.Stack}} {
		h := Header{Key: long.name}
		text := cut(long.text, left-size(h))
		if text == "" {
			continue
		}
		h.Value = []byte(text)
		left -= size(h)
		hs = append(hs, h)
	}
	return hs
}

func (l *Letter) fixed(p Profile) (hs []Header, message, stack string) {
	text := func(name, value string) {
		if value != "" {
			hs = append(hs, Header{name, []byte(value)})
		}
	}
	// What names a type is short in any sane program.
	errorType, causeType := cut(l.ErrorType, longestType), cut(l.CauseType, longestType)
	if p == Spring {
		be := binary.BigEndian
		text(sTopic, l.Topic)
		hs = append(hs,
			Header{sPartition, be.AppendUint32(nil, uint32(l.Partition))},
			Header{sOffset, be.AppendUint64(nil, uint64(l.Offset))},
			Header{sTimestamp, be.AppendUint64(nil, uint64(l.Timestamp.UnixMilli()))})
		text(sTimestampType, l.TimestampType)
		text(sGroup, l.Group)
		hs = append(hs, Header{sAttempts, be.AppendUint32(nil, uint32(l.Attempts))})
		text(sErrorType, errorType)
		text(sCauseType, causeType)
		return hs, sMessage, sStack
	}
	text(hTopic, l.Topic)
	text(hPartition, strconv.Itoa(int(l.Partition)))
	text(hOffset, strconv.FormatInt(l.Offset, 10))
	text(hTimestamp, l.Timestamp.UTC().Format(timestampFormat))
	text(hTimestampType, l.TimestampType)
	text(hGroup, l.Group)
	text(hAttempts, strconv.Itoa(l.Attempts))
	text(hReason, l.Reason)
	text(hToken, strconv.FormatInt(l.Token, 10))
	text(hErrorType, errorType)
	return hs, hError, hStack
}

const longestType = 150

// MinLimit is a limit of Headers at which the fixed ones always fit: a topic and a
// group have up to 249 and some 1,000 bytes.
const MinLimit = 2048

// cut takes whole characters of s, n bytes at the most.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// size is what a header takes in a record, at most: its lengths are varints.
func size(h Header) int { return len(h.Key) + len(h.Value) + 6 }

// Parse reads where a dead letter came from, in either profile; the last header
// of a name counts, as Spring appends to those of an earlier failure.
func Parse(hs []Header) (l Letter, ok bool) {
	last := make(map[string][]byte, len(hs))
	for _, h := range hs {
		if Ours(h.Key) {
			last[h.Key] = h.Value
		}
	}
	if topic := last[hTopic]; len(topic) > 0 {
		p, err := strconv.ParseInt(string(last[hPartition]), 10, 32)
		o, err2 := strconv.ParseInt(string(last[hOffset]), 10, 64)
		if err != nil || err2 != nil || p < 0 || o < 0 {
			return Letter{}, false
		}
		l = Letter{
			Topic: string(topic), Partition: int32(p), Offset: o, Group: string(last[hGroup]), TimestampType: string(last[hTimestampType]),
			Reason: string(last[hReason]), ErrorType: string(last[hErrorType]), Message: string(last[hError]), Stack: string(last[hStack]),
		}
		l.Attempts, _ = strconv.Atoi(string(last[hAttempts]))
		l.Token, _ = strconv.ParseInt(string(last[hToken]), 10, 64)
		l.Timestamp, _ = time.Parse(timestampFormat, string(last[hTimestamp]))
		return l, true
	}
	if topic := last[sTopic]; len(topic) > 0 && len(last[sPartition]) == 4 && len(last[sOffset]) == 8 {
		be := binary.BigEndian
		l = Letter{
			Topic: string(topic), Partition: int32(be.Uint32(last[sPartition])), Offset: int64(be.Uint64(last[sOffset])),
			TimestampType: string(last[sTimestampType]), Group: string(last[sGroup]),
			ErrorType: string(last[sErrorType]), CauseType: string(last[sCauseType]), Message: string(last[sMessage]), Stack: string(last[sStack]),
		}
		if t := last[sTimestamp]; len(t) == 8 {
			l.Timestamp = time.UnixMilli(int64(be.Uint64(t))).UTC()
		}
		if a := last[sAttempts]; len(a) == 4 {
			l.Attempts = int(be.Uint32(a))
		}
		return l, l.Partition >= 0 && l.Offset >= 0
	}
	return Letter{}, false
}
