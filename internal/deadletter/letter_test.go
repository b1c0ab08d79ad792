package deadletter

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var example = Letter{
	Topic: "orders", Partition: 258, Offset: 1<<40 + 3, Timestamp: time.UnixMilli(1_700_000_000_123).UTC(), TimestampType: "CreateTime",
	Group: "billing", Attempts: 10, Reason: "exhausted", ErrorType: "*pgconn.PgError", Message: "no such column", Stack: "goroutine 1\nmain.go:7", Token: 17,
}

// The names and bytes are a format: other programs read them.
func TestGoldenHeaders(t *testing.T) {
	spring := example
	spring.CauseType = "*net.OpError"
	for _, c := range []struct {
		letter  Letter
		profile Profile
		want    []string
	}{
		{example, Orderly, []string{
			`orderly-dlt-topic "orders"`, `orderly-dlt-partition "258"`, `orderly-dlt-offset "1099511627779"`,
			`orderly-dlt-timestamp "2023-11-14T22:13:20.123Z"`, `orderly-dlt-timestamp-type "CreateTime"`, `orderly-dlt-group "billing"`,
			`orderly-dlt-attempts "10"`, `orderly-dlt-reason "exhausted"`, `orderly-dlt-token "17"`, `orderly-dlt-error-type "*pgconn.PgError"`,
			`orderly-dlt-error "no such column"`, `orderly-dlt-stack "goroutine 1\nmain.go:7"`,
		}},
		{spring, Spring, []string{
			`kafka_dlt-original-topic "orders"`, `kafka_dlt-original-partition "\x00\x00\x01\x02"`,
			`kafka_dlt-original-offset "\x00\x00\x01\x00\x00\x00\x00\x03"`, `kafka_dlt-original-timestamp "\x00\x00\x01\x8b\xcf\xe5h{"`,
			`kafka_dlt-original-timestamp-type "CreateTime"`, `kafka_dlt-original-consumer-group "billing"`,
			`kafka_deliveryAttempt "\x00\x00\x00\n"`,
			`kafka_dlt-exception-fqcn "*pgconn.PgError"`, `kafka_dlt-exception-cause-fqcn "*net.OpError"`,
			`kafka_dlt-exception-message "no such column"`, `kafka_dlt-exception-stacktrace "goroutine 1\nmain.go:7"`,
		}},
	} {
		hs := c.letter.Headers(c.profile, 16<<10)
		var got []string
		for _, h := range hs {
			got = append(got, fmt.Sprintf("%s %q", h.Key, h.Value))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.profile, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		back, ok := Parse(hs)
		want := c.letter
		if c.profile == Spring { // has no headers for these
			want.Reason, want.Token = "", 0
		}
		if !ok || !reflect.DeepEqual(back, want) {
			t.Errorf("%s: read back %+v %t, want %+v", c.profile, back, ok, want)
		}
	}
}

// Whatever an error says, headers stay within the limit: the stack is cut first,
// then the message; what says where the record came from is always whole.
func TestHeadersAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := example
		l.Topic = strings.Repeat("t", rapid.IntRange(1, 249).Draw(t, "topic"))
		l.Group = strings.Repeat("g", rapid.IntRange(1, 1000).Draw(t, "group"))
		l.ErrorType = strings.Repeat("e", rapid.IntRange(0, 5000).Draw(t, "type"))
		l.Message = strings.Repeat(rapid.SampledFrom([]string{"a", "ä", "語"}).Draw(t, "of"), rapid.IntRange(0, 3000).Draw(t, "message"))
		l.Stack = strings.Repeat("s", rapid.IntRange(0, 5000).Draw(t, "stack"))
		limit := rapid.IntRange(MinLimit, 10_000).Draw(t, "limit")
		p := rapid.SampledFrom([]Profile{Orderly, Spring}).Draw(t, "profile")
		hs := l.Headers(p, limit)
		n := 0
		for _, h := range hs {
			n += size(h)
		}
		if n > limit {
			t.Fatalf("%d bytes, limit %d", n, limit)
		}
		back, ok := Parse(hs)
		if !ok || back.Topic != l.Topic || back.Offset != l.Offset || back.Partition != l.Partition || back.Group != l.Group {
			t.Fatalf("%+v %t", back, ok)
		}
		if back.Stack != "" && back.Message != l.Message {
			t.Fatalf("the message was cut (%d of %d) and the stack was not (%d)", len(back.Message), len(l.Message), len(back.Stack))
		}
		if !utf8.ValidString(back.Message) || !strings.HasPrefix(l.Message, back.Message) || !strings.HasPrefix(l.Stack, back.Stack) {
			t.Fatal("not a beginning of whole characters")
		}
		if len(back.Stack) < len(l.Stack) && limit-n > 40 {
			t.Fatalf("the stack was cut to %d with %d bytes left", len(back.Stack), limit-n)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, hs := range [][]Header{
		nil,
		{{"trace", []byte("x")}},
		{{hTopic, []byte("t")}, {hPartition, []byte("x")}, {hOffset, []byte("1")}},
		{{hTopic, []byte("t")}, {hPartition, []byte("1")}, {hOffset, []byte("-1")}},
		{{sTopic, []byte("t")}, {sPartition, []byte("1")}, {sOffset, make([]byte, 8)}},
		{{sTopic, []byte("t")}, {sPartition, []byte{255, 0, 0, 0}}, {sOffset, make([]byte, 8)}},
	} {
		if l, ok := Parse(hs); ok {
			t.Errorf("%v was read as %+v", hs, l)
		}
	}
	twice := append((&Letter{Topic: "old", Offset: 1}).Headers(Spring, 4096), (&Letter{Topic: "new", Offset: 2}).Headers(Spring, 4096)...)
	if l, ok := Parse(twice); !ok || l.Topic != "new" || l.Offset != 2 {
		t.Errorf("of two failures %+v counts, want the last", l)
	}
}

// A record that is sent back says so, counts it, and has neither the dead letter's
// headers nor the writer's numbers.
func TestRedriven(t *testing.T) {
	hs := append([]Header{{"trace", []byte("x")}, {seqWriter, []byte("w")}, {seqEpoch, make([]byte, 8)}, {seqNumber, make([]byte, 8)}},
		example.Headers(Orderly, 4096)...)
	for n := 1; n <= 3; n++ {
		hs = Redriven(hs, "orders-dlt", 2, int64(n), example)
		var names []string
		for _, h := range hs {
			names = append(names, h.Key)
		}
		if !slices.Equal(names, []string{"trace", RedrivenFrom, RedrivenOf, Redrives}) {
			t.Fatalf("headers %v", names)
		}
		if Count(hs) != n || string(hs[1].Value) != fmt.Sprintf("orders-dlt/2/%d", n) || string(hs[2].Value) != "orders/258/1099511627779" {
			t.Errorf("%d: %s", n, hs)
		}
		// It fails again, and is a dead letter once more.
		hs = append(hs, example.Headers(Spring, 4096)...)
	}
}
