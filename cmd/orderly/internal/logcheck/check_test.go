package logcheck

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
)

// broken is what was collected of a partition with one batch of each fault.
func broken() *Facts {
	f := &Facts{Topic: "t", Partitions: 1, Sample: wire.NewSample(3), Now: time.UnixMilli(0), Window: time.Hour}
	f.Sample.Begin(0)
	for _, b := range []wire.Batch{
		{FirstOffset: 0, LastOffset: 4, LeaderEpoch: 3, Magic: 2, ProducerID: 7, Sequence: 0, Records: 5},
		{FirstOffset: 5, LastOffset: 5, LeaderEpoch: 3, Magic: 2, ProducerID: 7, Sequence: 9, Records: 1},
		{FirstOffset: 6, LastOffset: 6, LeaderEpoch: 2, Magic: 2, ProducerID: 7, ProducerEpoch: 1, Records: 1},
	} {
		f.Sample.Batch(b)
	}
	f.Sample.Record(wire.Record{Offset: 0, Key: []byte("k"), ProducerID: 7})
	return f
}

func TestFaultsInBatches(t *testing.T) {
	r := Check(broken())
	if got := found(r, finding.Error); !slices.Equal(got, []string{"L04", "L05"}) {
		t.Errorf("errors %v", got)
	}
	if got := found(r, finding.Warn); !slices.Equal(got, []string{"L02"}) {
		t.Errorf("warnings %v", got)
	}
	for _, f := range r.Findings {
		if f.Fix == "" || f.Why == "" || f.Damage == "" || len(f.Where) == 0 || f.Source == "" {
			t.Errorf("%+v", f)
		}
	}
}

// Compaction takes batches out, so that a gap says nothing; nor does it when it is
// not known whether the topic is compacted.
func TestCompactedTopicsHaveGaps(t *testing.T) {
	for _, change := range []func(f *Facts){func(f *Facts) { f.Compacted = true }, func(f *Facts) { f.ConfigErr = errors.New("boom") }} {
		f := broken()
		change(f)
		r := Check(f)
		if slices.Contains(found(r, finding.Error), "L04") || slices.Contains(r.Checked, "L04") ||
			!slices.ContainsFunc(r.NotChecked, func(u finding.Unchecked) bool { return u.Rule == "L04" }) {
			t.Errorf("checked %v, not checked %v", r.Checked, r.NotChecked)
		}
	}
}

// A producer that wrote lately beside another one is worth a note; one of yesterday
// is not.
func TestProducersOfAPartition(t *testing.T) {
	f := broken()
	f.Now = time.UnixMilli(0).Add(24 * time.Hour)
	f.Active = []Producer{{Partition: 0, ID: 7, Last: f.Now}, {Partition: 0, ID: 8, Last: f.Now.Add(-2 * time.Hour)}, {Partition: 1, ID: 9, Last: f.Now}}
	if got := found(Check(f), finding.Note); len(got) != 0 {
		t.Errorf("notes %v", got)
	}
	f.Active[1].Last = f.Now.Add(-time.Minute)
	if got := found(Check(f), finding.Note); !slices.Equal(got, []string{"L03"}) {
		t.Errorf("notes %v", got)
	}
}
