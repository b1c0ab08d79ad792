package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

const storm = `2026-11-20 03:00:00,000 INFO Shrinking ISR from 1,2,3 to 1. Leader: (highWatermark: 8812, endOffset: 8840). [Partition orders-5 broker=1] x
[2026-11-20 03:00:01,000] INFO [Partition orders-5 broker=1] Shrinking ISR from 1,2,3 to 1. Leader: (highWatermark: 8812, endOffset: 8840). (kafka.cluster.Partition)
2026-11-20 03:00:02,000 WARN [Producer clientId=p1] Got error produce response with correlation id 1 on topic-partition orders-5, retrying (9 attempts left). Error: NOT_ENOUGH_REPLICAS
2026-11-20 03:00:03,000 WARN [Producer clientId=p1] Got error produce response with correlation id 2 on topic-partition orders-5, retrying (8 attempts left). Error: NOT_ENOUGH_REPLICAS
2026-11-20 03:02:02,500 ERROR send failed
org.apache.kafka.common.errors.TimeoutException: Expiring 7 record(s) for orders-5:120012 ms has passed since batch creation
	at com.acme.Send.run(Send.java:12)
Caused by: org.apache.kafka.common.errors.TimeoutException: Expiring 7 record(s) for orders-5:120012 ms has passed since batch creation
2026-11-20 03:02:03,000 INFO [Producer clientId=p1] Resetting sequence number of batch with current sequence 340 for partition orders-5 to 0
2026-11-20 03:02:04,000 INFO [Producer clientId=p1] ProducerId set to 4003 with epoch 1
2026-11-20 03:02:05,000 INFO [Producer clientId=p2] Resetting sequence number of batch with current sequence 340 for partition orders-6 to 0
`

// A log becomes incidents, in order, each with what led to it: by the same
// partition, and not by another one.
func TestTimeline(t *testing.T) {
	r := scanText(storm)
	got := map[string]string{}
	for _, f := range r.Findings {
		var after []string
		for _, l := range f.After {
			after = append(after, fmt.Sprintf("%s@%d", l.ID, l.Line))
		}
		got[f.Entry.ID+" "+f.Facts.TopicPartition()+f.Facts.Producer] = fmt.Sprintf("line %d x%d after %v", f.FirstLine, f.Count, after)
	}
	for what, want := range map[string]string{
		"isr-shrink orders-5":          "line 1 x2 after []",
		"not-enough-replicas orders-5": "line 3 x2 after [isr-shrink@1]",
		"delivery-timed-out orders-5":  "line 5 x1 after [not-enough-replicas@3]",
		"sequence-reset orders-5":      "line 9 x1 after [delivery-timed-out@5]",
		"sequence-reset 4003":          "line 10 x1 after []",
		"sequence-reset orders-6":      "line 11 x1 after []",
	} {
		if got[what] != want {
			t.Errorf("%s: %s, want %s", what, got[what], want)
		}
	}
	if len(r.Findings) != 6 || r.Findings[0].Entry.ID != "isr-shrink" || r.Worst() != Breaks || r.Entries[0].ID != "delivery-timed-out" {
		t.Errorf("findings %v, worst %s", ids(r), r.Worst())
	}
	if got := r.First.Format(plainTime) + " " + r.Last.Format(plainTime); got != "2026-11-20 03:00:00.000 2026-11-20 03:02:05.000" {
		t.Errorf("from, to: %s", got)
	}
	// What began half an hour before did not lead to it.
	late := strings.Replace(storm, "03:02:03,000 INFO", "03:32:03,000 INFO", 1)
	for _, f := range scanText(late).Findings {
		if f.Entry.ID == "sequence-reset" && f.Facts.Partition == "5" && len(f.After) != 0 {
			t.Errorf("after %v, half an hour later", f.After)
		}
	}
}

// A second id of one client is a reset, also at epoch 0; that of another client is not.
func TestSecondProducerIDIsAReset(t *testing.T) {
	r := scanText("[Producer clientId=a] ProducerId set to 1 with epoch 0\n[Producer clientId=b] ProducerId set to 2 with epoch 0\n[Producer clientId=a] ProducerId set to 3 with epoch 0")
	if got := fmt.Sprint(ids(r)); got != "[producer-started producer-started sequence-reset]" {
		t.Errorf("%s", got)
	}
}

// Repeats are counted, and told of at 1, 10, 100 ...; the report stays as short as
// that of one.
func TestRepeatsAreCounted(t *testing.T) {
	s, told := NewScanner(), 0
	s.Seen = func(f *Finding) {
		if Seen(f) != "" {
			told++
		}
	}
	for i := range 100_000 {
		s.Line([]byte(fmt.Sprintf("2026-11-20 03:%02d:%02d ERROR NOT_ENOUGH_REPLICAS for partition orders-5", i/60%60, i%60)))
	}
	r := s.Report("log")
	if len(r.Findings) != 1 || r.Findings[0].Count != 100_000 || told != 6 || len(r.Findings[0].Evidence) != maxEvidence {
		t.Errorf("%d findings, told %d times, %d lines of evidence", len(r.Findings), told, len(r.Findings[0].Evidence))
	}
	var out bytes.Buffer
	if err := r.Write(&out, Options{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n > 60 || !strings.Contains(out.String(), "100000 times") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// However many subjects a log has, a bounded number is kept; the rest is counted and
// said.
func TestFindingsAreBounded(t *testing.T) {
	s := NewScanner()
	before := heap()
	const n = 20_000
	pad := strings.Repeat("x", 500)
	for i := range n {
		s.Line([]byte(fmt.Sprintf("NOT_ENOUGH_REPLICAS for partition topic-%d-0 [Producer clientId=c%d] ProducerId set to %d with epoch 0 %s", i, i, i, pad)))
	}
	grown := int64(heap()) - int64(before)
	r := s.Report("log")
	kept := int64(0)
	for _, f := range r.Findings {
		kept += f.Count
	}
	for _, c := range r.NotKept {
		kept += c
	}
	if len(r.Findings) != maxFindings || kept < n || len(s.started) > maxClients {
		t.Errorf("%d findings, %d of %d counted, %d clients", len(r.Findings), kept, n, len(s.started))
	}
	if grown > 24<<20 {
		t.Errorf("%d bytes for %d findings", grown, maxFindings)
	}
	var out bytes.Buffer
	if err := r.Write(&out, Options{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "are kept apart") || out.Len() > 64<<10 {
		t.Errorf("%d bytes: %.3000s", out.Len(), out.String())
	}
	j, err := json.Marshal(r)
	if err != nil || !json.Valid(j) {
		t.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Times are read in the forms that logs have, in one zone.
func TestWhen(t *testing.T) {
	at := time.Date(2026, 11, 20, 3, 12, 44, 871e6, time.UTC)
	for _, line := range []string{
		"[2026-11-20 03:12:44,871] ERROR x", "2026-11-20T03:12:44.871Z x", "2026-11-20T05:12:44.871+02:00 x", "2026-11-19T22:12:44.871-0500 x",
		"2026/11/20 03:12:44.871 x", fmt.Sprintf("%%3|%d.871|FAIL|rdkafka#p| x", at.Unix()),
		fmt.Sprintf(`{"ts":%d.871,"msg":"x"}`, at.Unix()), fmt.Sprintf(`{"timestamp":%d871}`, at.Unix()), `{"@timestamp":"2026-11-20T03:12:44.871Z"}`,
	} {
		if got := when(line); !got.Equal(at) {
			t.Errorf("%s: %s", line, got)
		}
	}
	for _, line := range []string{"", "no time", "2026-13-40 99:99:99 x", strings.Repeat("x", 500) + "2026-11-20 03:12:44"} {
		if got := when(line); !got.IsZero() {
			t.Errorf("%.40s: %s", line, got)
		}
	}
}

// Lines that are all indented are events of their own when each has its time; a
// record that was given up is not hidden by the reason that its line names.
func TestIndentedLinesAreCounted(t *testing.T) {
	r := scanText("  2026-11-20 03:00:00 ERROR NOT_ENOUGH_REPLICAS\n  2026-11-20 03:00:01 ERROR NOT_ENOUGH_REPLICAS\n\t[2026-11-20 03:00:02,000] ERROR NOT_ENOUGH_REPLICAS")
	if len(r.Findings) != 1 || r.Findings[0].Count != 3 || r.Recognised != 3 {
		t.Errorf("%v, %d times", ids(r), r.Recognised)
	}
	r = scanText(`{"logger":"kafkajs","name":"KafkaJSNumberOfRetriesExceeded","cause":{"type":"NOT_ENOUGH_REPLICAS"}}`)
	if got := ids(r); len(got) != 2 || r.Worst() != Breaks {
		t.Errorf("%v", got)
	}
}
