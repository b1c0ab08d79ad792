package localbroker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fill makes a topic with several small segments per partition, by several
// producers of which one raises its epoch.
func fill(t testing.TB, b *Broker, topic string) {
	t.Helper()
	ctx := withPatience(t)
	adm := kadm.NewClient(newClient(t, kgo.SeedBrokers(b.Addr())))
	small := "2000"
	if r, err := adm.CreateTopics(ctx, 2, 1, map[string]*string{"segment.bytes": &small}, topic); err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	for range 3 {
		cl := newClient(t, kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for n := range 40 {
			value := fmt.Appendf(nil, "%08d%0100d", n, 0)
			if err := cl.ProduceSync(ctx, &kgo.Record{Partition: int32(n % 2), Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := adm.CommitAllOffsets(ctx, "g", offsetsOf(topic, 7)); err != nil {
		t.Fatal(err)
	}
}

func offsetsOf(topic string, at int64) kadm.Offsets {
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: 0, At: at})
	return o
}

func readWindows(t testing.TB, dir string) []*seqWindow {
	t.Helper()
	var w windowsFile
	if found, err := readJSON(filepath.Join(dir, windowsName), &w); err != nil || !found || w.Version != persistVersion {
		t.Fatal(found, w.Version, err)
	}
	slices.SortFunc(w.Windows, func(a, b *seqWindow) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.PID, b.PID))
	})
	return w.Windows
}

// What the repair writes is what kfake itself saves at a clean end. A kfake with
// another format fails here.
func TestRepairWritesWhatACleanEndSaves(t *testing.T) {
	dir := t.TempDir()
	b, _ := mustOpen(t, dir)
	fill(t, b, "orders")
	image := crashImage(t, dir)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := readDataDir(image)
	if err != nil {
		t.Fatal(err)
	}
	indexes := make(map[string][]byte)
	for _, p := range d.partitions {
		if len(p.segments) < 3 {
			t.Errorf("%s has %d segments: too few to test with", p, len(p.segments))
		}
		for _, s := range p.segments {
			if indexes[s.indexPath()], err = os.ReadFile(s.indexPath()); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(s.indexPath()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Remove(filepath.Join(image, windowsName)); err != nil {
		t.Fatal(err)
	}
	r := repair{dir: d}
	if err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, got := readWindows(t, dir), readWindows(t, image)
	if len(want) != 6 || !reflect.DeepEqual(want, got) {
		t.Errorf("kfake saved\n%s\nthe repair wrote\n%s", dump(want), dump(got))
	}
	for path, want := range indexes {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\nkfake wrote      %x\nthe repair wrote %x", path, err, want, got)
		}
	}
	if len(r.risks) > 0 || r.torn > 0 || r.added > 0 || r.indexes != len(indexes) {
		t.Errorf("%+v", r)
	}
}

func dump(v any) []byte {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err)
	}
	return b
}

func appendTo(t testing.TB, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func lastSegment(t testing.TB, dir string, partition int32) segmentFile {
	t.Helper()
	d, err := readDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.partitions {
		if p.partition == partition {
			return p.segments[len(p.segments)-1]
		}
	}
	t.Fatal("no such partition")
	return segmentFile{}
}

// Ends in the middle of a write are cut off everywhere, and what is written
// behind them later can be read again after another kill.
func TestTornEnds(t *testing.T) {
	dir := t.TempDir()
	b, _ := mustOpen(t, dir)
	fill(t, b, "orders")
	image := crashImage(t, dir)
	seg := lastSegment(t, image, 0)
	whole, err := os.ReadFile(seg.path)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, seg.path, whole[:batchPrefix+50]) // of its first batch
	appendTo(t, filepath.Join(image, groupsName), []byte{50, 0, 0, 0, 1, 2, 3, 4, 1, 0, '{'})
	appendTo(t, filepath.Join(image, pidsName), []byte{50, 0, 0, 0, 1, 2, 3})
	if err := os.Truncate(seg.indexPath(), 7); err != nil {
		t.Fatal(err)
	}

	again, said := mustOpen(t, image)
	for _, want := range []string{"not ended cleanly", "3 files that ended in the middle of a write", "1 index written anew", "3 producers"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in:\n%s", want, said)
		}
	}
	if n := len(readTopic(t, again.Addr(), "orders")); n != 120 {
		t.Errorf("%d records of 120", n)
	}
	adm := kadm.NewClient(newClient(t, kgo.SeedBrokers(again.Addr())))
	if err := adm.CommitAllOffsets(withPatience(t), "g", offsetsOf("orders", 9)); err != nil {
		t.Fatal(err)
	}

	third, said := mustOpen(t, crashImage(t, image))
	adm = kadm.NewClient(newClient(t, kgo.SeedBrokers(third.Addr())))
	committed, err := adm.FetchOffsets(withPatience(t), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := committed.Lookup("orders", 0); !ok || o.At != 9 {
		t.Errorf("committed %+v; said:\n%s", o, said)
	}
}

// A batch that is all there and wrong is no torn end: it is kept, and named.
func TestDamageIsKeptAndNamed(t *testing.T) {
	dir := t.TempDir()
	b, _ := mustOpen(t, dir)
	fill(t, b, "orders")
	image := crashImage(t, dir)
	d, err := readDataDir(image)
	if err != nil {
		t.Fatal(err)
	}
	seg := d.partitions[0].segments[1] // in the middle of the log
	raw, err := os.ReadFile(seg.path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(seg.path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	again, said := mustOpen(t, image)
	kept, err := os.ReadFile(seg.path + ".damaged")
	if err != nil || len(kept) == 0 || !bytes.HasSuffix(raw, kept) {
		t.Errorf("kept %d bytes: %v", len(kept), err)
	}
	for _, want := range []string{"orders-0: ", "are damaged", seg.path + ".damaged", "orders-0: offsets are missing in the middle (1 place)"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in:\n%s", want, said)
		}
	}
	if n := len(readTopic(t, again.Addr(), "orders")); n != 119 {
		t.Errorf("%d records of 119", n)
	}
}

// What cannot be repaired is said.
func TestRisksAreNamed(t *testing.T) {
	dir := t.TempDir()
	b, _ := mustOpen(t, dir)
	fill(t, b, "orders")
	ctx := withPatience(t)
	adm := kadm.NewClient(newClient(t, kgo.SeedBrokers(b.Addr())))
	compact := "compact"
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": &compact}, "table"); err != nil {
		t.Fatal(err)
	}
	all := make(kadm.Offsets)
	all.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 60})
	if _, err := adm.DeleteRecords(ctx, all); err != nil {
		t.Fatal(err)
	}
	tx := newClient(t, kgo.SeedBrokers(b.Addr()), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("table"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	image := crashImage(t, dir)
	if err := tx.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	orphan := filepath.Join(image, partitionsName, "gone-0")
	if err := os.Mkdir(orphan, 0o755); err != nil {
		t.Fatal(err)
	}
	_, said := mustOpen(t, image)
	for _, want := range []string{
		"risk: topic table is compacted",
		"orders-0 ends at offset 0, but group g has committed 7",
		"table-0: 1 transaction was open",
		"moved to " + filepath.Join(image, "orphaned-"),
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in:\n%s", want, said)
		}
	}
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", orphan, err)
	}

	big := dataDir{bytes: 3 << 29}
	if risks := big.standingRisks(); len(risks) != 1 || !strings.Contains(risks[0], "1.5 GiB") {
		t.Errorf("%q", risks)
	}
}

// A start that is ended in the middle of the repair leaves it to the next one.
func TestRepairCanBeEnded(t *testing.T) {
	dir := t.TempDir()
	b, _ := mustOpen(t, dir)
	fill(t, b, "orders")
	image := crashImage(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	said := new(notices)
	_, err := Open(ctx, Options{Dir: image, Notice: func(line string) { said.add(line); cancel() }})
	if err == nil || !strings.Contains(err.Error(), "repairing it after an unclean end: orders-0: context canceled") {
		t.Errorf("%v", err)
	}
	_, said = mustOpen(t, image)
	if !strings.Contains(said.String(), "checked 120 batches of 2 partitions") {
		t.Errorf("said:\n%s", said)
	}
}
