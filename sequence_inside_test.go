package orderly

import (
	"testing"

	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record without a value, as compaction's tombstones are, has no number.
func TestSequenceFieldOfATombstone(t *testing.T) {
	path, err := fieldpath.Parse(".n")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := fieldNumber(path, &kgo.Record{}); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, _, err := fieldNumber(path, &kgo.Record{Value: []byte{}}); err == nil {
		t.Error("an empty value is no JSON")
	}
}
