package rewind

import (
	"testing"

	"github.com/orderly-go/orderly/internal/progress"
)

func TestMark(t *testing.T) {
	other := progress.Field{Tag: "other", Value: "x"}
	for _, want := range []Mark{{Begun, 0}, {KafkaOnly, 1<<63 - 1}} {
		text, _, err := progress.Encode(7, progress.Meta{Extra: []progress.Field{other, want.Field()}}, progress.DefaultLimit)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := progress.Decode(7, text)
		if err != nil {
			t.Fatal(err)
		}
		m, others, err := Of(meta.Extra)
		if err != nil || m == nil || *m != want || len(others) != 1 || others[0] != other {
			t.Errorf("%v: %v, %v, %v", want, m, others, err)
		}
	}
	if m, others, err := Of([]progress.Field{other}); m != nil || len(others) != 1 || err != nil {
		t.Errorf("without one: %v, %v, %v", m, others, err)
	}
	for _, value := range []string{"", "begun", "begun.", "begun.-1", "begun.01", "later.3", "kafka.3.4"} {
		if m, _, err := Of([]progress.Field{{Tag: Tag, Value: value}}); err == nil {
			t.Errorf("%q is read as %v", value, m)
		}
	}
	two := Mark{Begun, 1}.Field()
	if _, _, err := Of([]progress.Field{two, two}); err == nil {
		t.Error("two are read")
	}
}
