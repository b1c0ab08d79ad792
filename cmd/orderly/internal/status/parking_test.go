package status

import (
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/health"
)

// What is wrong with a parking topic is shown with its state and cause; who has paused
// the partition is no trouble of the topic.
func TestParkingTroubleIsShown(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	failed := now.Add(-90 * time.Minute)
	of := func(p int32, k *health.Parking) Partition {
		return Partition{Topic: "orders", Partition: p, Metadata: "ok", Live: &Live{Topic: "orders", Partition: p, Parking: k}}
	}
	r := &Report{Group: "billing", State: "Stable", Time: now, Partitions: []Partition{
		of(0, &health.Parking{Topic: "parked.orders", Reason: "parking-unreadable", Cause: "LEADER_NOT_AVAILABLE:\nno leader", Keys: 1, Records: 7, Oldest: &failed}),
		of(1, &health.Parking{Topic: "parked.orders", Cause: "not written: TOPIC_AUTHORIZATION_FAILED"}),
		of(2, &health.Parking{Topic: "parked.orders", Reason: "paused", Cause: "paused by ann: moving",
			Pauses: []health.Pause{{ID: "c1", Who: "ann", Reason: "moving", Since: failed, Whole: true}}}),
		of(3, nil),
		{Topic: "orders", Partition: 4, Metadata: "ok", Owner: "somebody"},
	}}
	r.Parked = r.sumParked()
	if k := r.Parked; k == nil || k.Keys != 1 || k.Records != 7 || k.Paused != 1 || !k.Oldest.Equal(failed) {
		t.Errorf("%+v", k)
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"parked: 1 key with 7 records, the oldest for 1h30m0s\n",
		"parked.orders/0: parking-unreadable: LEADER_NOT_AVAILABLE: no leader\n",
		"parked.orders/1: in use: not written: TOPIC_AUTHORIZATION_FAILED\n",
		`orders/2  all of it  "ann"  1h30m0s  moving  c1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "parked.orders/2:") {
		t.Errorf("a pause is shown as trouble of the topic:\n%s", text)
	}
	if r.Partitions = r.Partitions[4:]; r.sumParked() != nil {
		t.Error("nothing is parked, though nobody was asked")
	}
}
