package pipe

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestLine(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_005)
	for _, c := range []struct {
		r    kgo.Record
		want string
	}{
		{kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("a<b\n")},
			`"key":"k","value":"a<b\n","headers":[]`},
		{kgo.Record{Topic: "t", Headers: []kgo.RecordHeader{{Key: "h"}, {Key: "h", Value: []byte("v")}, {Key: "\xff", Value: []byte{0xfe}}}},
			`"key":null,"value":null,"headers":[{"key":"h","value":null},{"key":"h","value":"v"},{"key_base64":"/w==","value_base64":"/g=="}]`},
		{kgo.Record{Topic: "t", Key: []byte{}, Value: []byte("\xff\x00")},
			`"key":"","value_base64":"/wA=","headers":[]`},
		// Line separators of Unicode would end a line for some readers.
		{kgo.Record{Topic: "t", Key: []byte("\u2028\u2029\r\x00"), Value: []byte("é")},
			`"key":"\u2028\u2029\r\u0000","value":"é","headers":[]`},
	} {
		c.r.Partition, c.r.Offset, c.r.Timestamp = 3, 1<<53+1, at
		got := string(Line(&orderly.Message{Record: &c.r, Attempt: 2, FencingToken: 7}))
		want := `{"topic":"t","partition":3,"offset":9007199254740993,"timestamp":"2023-11-14T22:13:20.005Z",` + c.want + `,"attempt":2,"fencing_token":7}` + "\n"
		if got != want || !json.Valid([]byte(got)) || strings.Count(got, "\n") != 1 {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
