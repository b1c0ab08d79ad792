//go:build unix

package matrix

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// verdict judges a scene that is over: what handlers did by what the log holds,
// the log by what was acknowledged, and the commits as the brokers kept them.
func (s *scene) verdict() history.Report {
	s.t.Helper()
	for _, l := range s.loads {
		select {
		case <-l.halt:
		default:
			s.t.Fatal("the scene has not finished its load")
		}
	}
	log := s.read(s.topic, partitions)
	s.held = log
	s.judgeLog(log)
	s.judgeCommits(log)
	s.judgeParked(log)
	rep := history.Check(s.history(log), history.Options{Complete: true})
	if err := rep.Err(); err != nil {
		s.t.Errorf("%v\n%s", err, rep)
	}
	for _, b := range s.h.broken {
		s.t.Error(b)
	}
	if rep.Records == 0 || rep.Handled+rep.DoneOtherwise != rep.Records {
		s.t.Errorf("%d of %d records were handled, and %d skipped", rep.Handled, rep.Records, rep.DoneOtherwise)
	}
	s.t.Logf("%d records, %d attempts, %d repeated, %d excused overlaps, %d starts by members that had been frozen, %d commits heard of late",
		rep.Records, rep.Attempts, rep.Redelivered, rep.ExcusedOverlaps, s.h.zombie, s.h.late)
	return rep
}

// read returns all that a topic holds, by partition.
func (s *scene) read(topic string, n int32) map[int32][]*kgo.Record {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ends, err := s.adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil || len(ends[topic]) != int(n) {
		s.t.Fatalf("the ends of topic %s: %v, %v", topic, ends, err)
	}
	cl, err := kgo.NewClient(append(impatient(), kgo.SeedBrokers(shared.c.Addrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	out := make(map[int32][]*kgo.Record)
	left := func() (n int) {
		for p, end := range ends[topic] {
			if rs := out[p]; end.Offset > 0 && (len(rs) == 0 || rs[len(rs)-1].Offset+1 < end.Offset) {
				n++
			}
		}
		return n
	}
	for left() > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("reading topic %s: %d partitions not read to their end after %s (%v)", topic, left(), patience, fetches.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) { out[r.Partition] = append(out[r.Partition], r) })
	}
	return out
}

// judgeLog: every record that was acknowledged is where that was said, once, and
// the records of a key are in the order in which they were produced.
func (s *scene) judgeLog(log map[int32][]*kgo.Record) {
	s.t.Helper()
	last := make(map[string]int)
	at := make(map[string][]record)
	for p := range int32(partitions) {
		for _, r := range log[p] {
			n, err := strconv.Atoi(string(r.Value))
			if key := string(r.Key); err != nil || n != last[key]+1 {
				s.t.Errorf("partition %d offset %d holds record %q of key %q behind number %d", p, r.Offset, r.Value, key, last[key])
			}
			last[string(r.Key)] = n
			at[string(r.Key)] = append(at[string(r.Key)], record{p, r.Offset})
		}
	}
	for _, l := range s.loads {
		for _, err := range l.failed {
			s.t.Errorf("the producer has failed a record: %v", err)
		}
		for key, acked := range l.acked {
			if !slices.Equal(acked, at[key]) {
				s.t.Errorf("records of key %q were acknowledged at %v; the log has them at %v", key, acked, at[key])
			}
		}
		if len(l.failed) == 0 && l.total == 0 {
			s.t.Error("nothing was written")
		}
	}
}

// judgeCommits reads the commits in the order in which the brokers applied them:
// neither offsets nor tokens ever go back, so that no commit of an owner that was
// replaced has counted; and in the end all is committed.
func (s *scene) judgeCommits(log map[int32][]*kgo.Record) {
	s.t.Helper()
	type commit struct {
		offset, token int64
	}
	newest := make(map[int32]commit)
	commits := 0
	for _, rs := range s.read("__consumer_offsets", 3) {
		for _, r := range rs {
			var key kmsg.OffsetCommitKey
			if len(r.Key) < 2 || r.Key[0] != 0 || r.Key[1] > 1 || r.Value == nil || r.Attrs.IsControl() {
				continue // not a commit
			}
			if err := key.ReadFrom(r.Key); err != nil {
				s.t.Fatal(err)
			}
			if key.Group != s.group || key.Topic != s.topic {
				continue
			}
			var value kmsg.OffsetCommitValue
			if err := value.ReadFrom(r.Value); err != nil {
				s.t.Fatal(err)
			}
			meta, err := progress.Decode(value.Offset, value.Metadata)
			if err != nil || meta.Token == 0 {
				s.t.Fatalf("a commit of partition %d has metadata %q: %v", key.Partition, value.Metadata, err)
			}
			commits++
			was := newest[key.Partition]
			if value.Offset < was.offset || meta.Token < was.token {
				s.t.Errorf("partition %d: offset %d was committed under token %d, after offset %d under token %d",
					key.Partition, value.Offset, meta.Token, was.offset, was.token)
			}
			newest[key.Partition] = commit{value.Offset, meta.Token}
		}
	}
	if commits == 0 {
		s.t.Error("there are no commits of the group")
	}
	for p := range int32(partitions) {
		var end int64
		if rs := log[p]; len(rs) > 0 {
			end = rs[len(rs)-1].Offset + 1
		}
		if newest[p].offset != end {
			s.t.Errorf("partition %d: offset %d is committed; its end is %d", p, newest[p].offset, end)
		}
	}
}

// history is the whole one: first all that the log holds, which is known only in
// the end, then what members did.
func (s *scene) history(log map[int32][]*kgo.Record) (events []history.Event) {
	for p := range int32(partitions) {
		for _, r := range log[p] {
			n, _ := strconv.ParseInt(string(r.Value), 10, 64)
			events = append(events, history.Event{Kind: history.Log, Topic: s.topic, Partition: p, Offset: r.Offset, Key: history.BytesKey(r.Key), Number: n})
		}
	}
	events = append(events, s.h.withResolved(log, s.topic)...)
	for i := range events {
		events[i].N = int64(i + 1)
	}
	return events
}

// save writes a failing scene's history and logs, and says how to go on.
func (s *scene) save() string {
	dir, err := filepath.Abs(filepath.Join("..", "..", ".history"))
	if err != nil {
		return err.Error()
	}
	dir = filepath.Join(dir, "matrix-"+strings.ReplaceAll(s.t.Name(), "/", "-"))
	if err := os.RemoveAll(dir); err != nil {
		return err.Error()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err.Error()
	}
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		return err.Error()
	}
	path := filepath.Join(dir, "history.jsonl")
	// Without what the log held, when the scene failed before that was read.
	if err := history.Save(path, s.history(s.held)); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("history: %s, logs beside it\nrun it again:   ORDERLY_SEED=%d go test -run '^%s$' ./internal/matrix\n"+
		"check it again: ORDERLY_HISTORY=%s go test -run '^TestSavedHistory$' ./internal/matrix", path, s.seed, strings.Split(s.t.Name(), "/")[0], path)
}

// TestSavedHistory checks the history file that ORDERLY_HISTORY names; without one
// there is nothing to check.
func TestSavedHistory(t *testing.T) {
	path := os.Getenv("ORDERLY_HISTORY")
	if path == "" {
		return
	}
	events, err := history.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	rep := history.Check(events, history.Options{Complete: true})
	t.Log(rep)
	if err := rep.Err(); err != nil {
		t.Error(err)
	}
}
