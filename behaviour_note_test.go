package orderly_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// More is done ahead, and more records have failed, than the metadata of a commit has room
// for: where a parking topic exists the next owner knows all of it. Nothing that is done
// comes again, and no attempt is forgotten, after a kill as after a release, and at the
// owner after that.
func TestRowNothingIsForgottenWithAParkingTopic(t *testing.T) {
	t.Parallel()
	const n = 28_000 // more than a bitmap of the metadata has room for
	b := engine(t)
	topic := newTopic(t, b, 1)
	r := rand.New(rand.NewPCG(1, 2))
	bad := make(map[string]bool)
	var recs []orderlytest.Record
	for i := range n {
		key := fmt.Sprint(i)
		bad[key] = i == 0 || r.IntN(4) == 0 // no pattern that could be written in short
		recs = append(recs, orderlytest.Msg(key, key))
	}
	fail := 0
	for _, is := range bad {
		if is {
			fail++
		}
	}
	b.Produce(topic, recs...)
	var mu sync.Mutex
	var wrong []string
	tried := 0 // bad records, by all owners
	owner := 1
	var commits seen[orderly.CommittedEvent]
	g := b.Group(orderly.ConsumerConfig{Topics: []string{topic}, Retry: orderly.Retry{MaxAttempts: 10, MaxBackoff: time.Hour}, Breaker: orderly.Breaker{Disabled: true},
		Logger:         slog.New(slog.DiscardHandler), // 7,000 lines otherwise
		CommitInterval: 100 * time.Millisecond, Events: orderly.Events{Committed: commits.add},
		Handler: func(_ context.Context, m *orderly.Message) error {
			mu.Lock()
			defer mu.Unlock()
			switch key := string(m.Key); {
			case !bad[key] && owner == 1:
				return nil
			case !bad[key]:
				wrong = append(wrong, fmt.Sprintf("owner %d: record %s is done and comes again", owner, key))
				return nil
			case m.Attempt != owner:
				wrong = append(wrong, fmt.Sprintf("owner %d: record %s has attempt %d", owner, key, m.Attempt))
				fallthrough
			default:
				tried++
				return orderly.RetryAfter(errBusy, time.Hour)
			}
		}})
	for owner < 4 {
		m := g.Start()
		for part := 1; part <= 4; part++ { // each has its own time
			b.Eventually(fmt.Sprintf("owner %d to have tried %d of 4 parts", owner, part), func() bool {
				mu.Lock()
				defer mu.Unlock()
				return tried >= fail*owner*part/4
			})
		}
		b.Eventually(fmt.Sprintf("owner %d to have tried all", owner), func() bool {
			p, ok := stateOf(m, topic, 0)
			return ok && p.Blocked == fail
		})
		var last orderly.CommittedEvent
		b.Eventually("a commit that names a note of all", func() bool {
			note := committedNote(t, b, g.Name(), topic)
			if all := commits.get(); len(all) > 0 {
				last = all[len(all)-1]
			}
			return note != nil && len(note.Attempts) == fail && note.Attempts[0].Count == owner && last.NotRecorded == 0 && last.DoneAhead == n-int64(fail)
		})
		if owner == 1 {
			m.Kill()
		} else {
			stopAll(t, m)
		}
		mu.Lock()
		owner++
		for _, s := range wrong[:min(len(wrong), 5)] {
			t.Error(s)
		}
		if len(wrong) > 5 {
			t.Errorf("and %d more", len(wrong)-5)
		}
		wrong = nil
		mu.Unlock()
	}
}

// committedNote is the note that the group's commit names, read from the parking topic;
// nil: none.
func committedNote(t *testing.T, b *orderlytest.Broker, group, topic string) *parking.ProgressBody {
	t.Helper()
	offsets, err := b.Admin().FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := offsets.Lookup(topic, 0)
	if !ok {
		return nil
	}
	meta, err := progress.Decode(o.At, o.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	at := progress.NoteOf(meta.Extra, meta.Token)
	if at == nil {
		return nil
	}
	name := "orderly-parked." + group + "." + topic
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(at.Pos)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	fetches := cl.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	r := fetches.Records()[0]
	rec := parking.Record{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, parking.Header{Key: h.Key, Value: h.Value})
	}
	e, err := parking.Decode(rec)
	if err != nil || r.Offset != at.Pos || !parking.Is(e, at) {
		t.Fatalf("the commit names a note at %d, and there is %+v at %d, %v", at.Pos, e, r.Offset, err)
	}
	return e.Progress
}
