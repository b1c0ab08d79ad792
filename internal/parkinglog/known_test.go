package parkinglog

import (
	"reflect"
	"testing"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kgo"
)

func following(token, offset int64, value []byte) *parking.Entry {
	return &parking.Entry{Kind: parking.KindParked, Token: token, Seq: offset, Key: []byte("k"), Offset: offset,
		Parked: &parking.ParkedBody{Topic: "orders", Record: parking.Record{Key: []byte("k"), Value: value, Headers: []parking.Header{{Key: "h"}}}}}
}

// recordOf is an entry as it is read back.
func recordOf(t *testing.T, e *parking.Entry) *kgo.Record {
	t.Helper()
	enc, err := parking.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Key: enc.Key, Value: enc.Value}
	for _, h := range enc.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// An entry that is read back as it was written is taken without decoding it, once; one
// that stands there in any other way is not.
func TestOnlyWhatWasWrittenIsKnown(t *testing.T) {
	for name, change := range map[string]func(*kgo.Record){
		"as it was": nil,
		"value":     func(r *kgo.Record) { r.Value = []byte("w") },
		"no value":  func(r *kgo.Record) { r.Value = nil },
		"key":       func(r *kgo.Record) { r.Key = []byte("l") },
		"header":    func(r *kgo.Record) { r.Headers[1].Value = []byte("1") },
		"headers":   func(r *kgo.Record) { r.Headers = r.Headers[:1] },
		"no entry":  func(r *kgo.Record) { r.Headers = nil },
		"partition": func(r *kgo.Record) { r.Partition = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var k known
			e := following(3, 7, []byte{})
			k.add(recordOf(t, e), e)
			e.Seq = 9 // written again
			r := recordOf(t, following(3, 7, []byte{}))
			if change != nil {
				change(r)
				if got := k.take(r); got != nil {
					t.Errorf("taken for %+v", got)
				}
				return
			}
			if got := k.take(r); !reflect.DeepEqual(got, following(3, 7, []byte{})) {
				t.Errorf("read %+v", got)
			}
			if got := k.take(r); got != nil || k.bytes != 0 || len(k.of) != 0 {
				t.Errorf("%+v is still known, %d bytes", got, k.bytes)
			}
		})
	}
}

// What is never read back takes no more memory than that.
func TestKnownIsBounded(t *testing.T) {
	var k known
	for n := range int64(100) {
		e := following(1, n, make([]byte, knownBytes/20))
		k.add(recordOf(t, e), e)
		sum := 0
		for _, w := range k.of {
			sum += w.size()
		}
		if sum != k.bytes || sum > knownBytes || len(k.of) == 0 {
			t.Fatalf("%d entries of %d bytes, counted as %d", len(k.of), sum, k.bytes)
		}
	}
	other := following(1, 200, nil)
	r := recordOf(t, other)
	r.Partition = 1
	k.add(r, other)
	k.forget(0)
	if len(k.of) != 1 || k.bytes != (written{r, other}).size() {
		t.Errorf("%d entries are kept of a partition that was lost, %d bytes", len(k.of)-1, k.bytes)
	}
	k.forget(1)
	// One with a cause may be clipped when it is encoded.
	e := following(2, 1, nil)
	e.Parked.Failure.Cause = "no"
	k.add(recordOf(t, e), e)
	if got := k.take(recordOf(t, e)); got != nil {
		t.Errorf("%+v is known", got)
	}
}
