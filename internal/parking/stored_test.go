package parking

import (
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/internal/progress"
)

// A commit names each handler whose store keeps something parked, beside what else it
// says, and has room for that.
func TestStoredFields(t *testing.T) {
	other := progress.Field{Tag: "x1", Value: "y"}
	fields := WithStored([]progress.Field{other}, "a", true)
	if !slices.Equal(WithStored(fields, "a", true), fields) || len(fields) != 2 {
		t.Errorf("named twice: %v", fields)
	}
	fields = WithStored(fields, "b", true)
	if err := CheckStored(fields, "a"); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("a may pass what b has: %v", err)
	}
	fields = WithStored(fields, "b", false)
	if err := CheckStored(fields, "a"); err != nil {
		t.Error(err)
	}
	if CheckStored(fields, "") == nil {
		t.Error("a handler without Effects may pass what a has")
	}
	if got := WithoutStored(fields); !slices.Equal(got, []progress.Field{other}) {
		t.Errorf("%v", got)
	}
	name := strings.Repeat("n", 64)
	m := progress.Meta{Token: 1 << 62, TopicID: [16]byte{1}, Clean: true, Unclean: 1 << 30,
		Extra: WithStored([]progress.Field{Guard{Trim: 1<<63 - 2, Holds: true}.Field()}, name, true)}
	if _, dropped, err := progress.Encode(1<<62, m, progress.MinLimit+GuardSize+StoredSize(name)); err != nil || dropped.Extra > 0 {
		t.Errorf("dropped %+v, %v", dropped, err)
	}
}
