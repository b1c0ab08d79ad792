//go:build synctests

package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	topicName = "orders"
	groupName = "billing"
)

// A world is a cluster with one topic, one group, and what happened there.
type world struct {
	t        testing.TB
	c        *kfake.Cluster
	f        *fabric
	h        *chronicle
	ledger   *ledger
	letters  *letters
	parkings *parkings
	addrs    []string
	log      *slog.Logger
	logText  *logBuffer

	cl  *kgo.Client // for producing and administration; no fault concerns it
	adm *kadm.Client

	mu         sync.Mutex
	ends       []int64 // next offset, by partition
	large      map[record]bool
	keyOf      map[record][]byte
	members    []*member
	goroutines sync.WaitGroup
	over       chan struct{} // closed when the world ends
	keepers    map[string]chan struct{}
	forgotten  map[record]int64 // until when its resolution was known, as Event.At
}

type worldConfig struct {
	brokers, partitions int
	opts                []kfake.Opt
}

// newWorld makes a world inside a bubble. It is torn down by close, which the test
// defers.
func newWorld(t testing.TB, cfg worldConfig) *world {
	t.Helper()
	w := &world{t: t, f: &fabric{}, h: newChronicle(), logText: &logBuffer{}, over: make(chan struct{}), large: make(map[record]bool), keyOf: make(map[record][]byte), keepers: make(map[string]chan struct{}), forgotten: make(map[record]int64)}
	w.log = slog.New(slog.NewTextHandler(w.logText, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.ledger, w.letters, w.parkings = newLedger(w), newLetters(), newParkings(w)
	w.f.answered, w.f.waiting = w.answered, w.keepAlive
	ports := make([]int, max(1, cfg.brokers))
	for i := range ports {
		ports[i] = 9092 + i
		w.addrs = append(w.addrs, "127.0.0.1:"+strconv.Itoa(ports[i]))
	}
	opts := append([]kfake.Opt{
		kfake.Ports(ports...), kfake.ListenFn(w.f.Listen), kfake.GroupMinSessionTimeout(time.Second),
		kfake.SeedTopics(int32(max(1, cfg.partitions)), topicName),
	}, cfg.opts...)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	w.c = c
	// Before all other faults, so that it sees every commit.
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Observe: true, When: w.h.processing})
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.Dialer(newHost(w.f).dial), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MetadataMinAge(10*time.Millisecond), kgo.DisableClientMetrics(), kgo.ClientID("sim"))
	if err != nil {
		t.Fatal(err)
	}
	w.cl, w.adm = cl, kadm.NewClient(cl)
	w.ends = make([]int64, max(1, cfg.partitions))
	return w
}

func (w *world) answered(req, resp []byte) {
	w.h.answered(req, resp)
	if err := errors.Join(w.letters.answered(req, resp), w.parkings.answered(req, resp)); err != nil {
		w.h.contradiction("%v", err)
	}
}

// keepAlive does what Kafka does and kfake does not: a member that waits for the
// others in a JoinGroup or SyncGroup is not expired. It beats the heart of that
// member; no fault concerns these requests. (kfake also loses count of who has
// joined when it expires one that waits in a SyncGroup.)
func (w *world) keepAlive(b []byte, done <-chan struct{}) {
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.UnknownTags.Set(keeperTag, nil)
	switch req, _ := parseRequest(b); req := req.(type) {
	case *kmsg.JoinGroupRequest:
		beat.Group, beat.MemberID, beat.InstanceID = req.Group, req.MemberID, req.InstanceID
	case *kmsg.SyncGroupRequest:
		beat.Group, beat.MemberID, beat.InstanceID = req.Group, req.MemberID, req.InstanceID
	}
	if beat.MemberID == "" {
		return
	}
	replaced := make(chan struct{}) // kfake answers only the last request of a member
	w.mu.Lock()
	if last := w.keepers[beat.MemberID]; last != nil {
		close(last)
	}
	w.keepers[beat.MemberID] = replaced
	w.mu.Unlock()
	w.later(func() {
		every := time.NewTicker(500 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-done:
				return
			case <-replaced:
				return
			case <-w.over:
				return
			case <-every.C:
			}
			if info := w.c.GroupInfo(beat.Group); info != nil {
				w.beat(beat, info.Epoch)
			}
		}
	})
}

// beat sends a heartbeat for a member. Whatever it says, the next one is soon.
func (w *world) beat(beat *kmsg.HeartbeatRequest, generation int32) {
	beat.Generation = generation
	_, _ = w.cl.Broker(int(w.c.CoordinatorFor(beat.Group))).Request(context.Background(), beat)
}

// sessionsAnew does what Kafka does, and kfake does not, when the coordinator moves
// or is loaded: all sessions begin anew. It goes on for as long as a member may not
// know, which is until its next heartbeat.
func (w *world) sessionsAnew() {
	w.later(func() {
		every := time.NewTicker(250 * time.Millisecond)
		defer every.Stop()
		for began := time.Now(); time.Since(began) < 4*time.Second; {
			if info := w.c.GroupInfo(groupName); info != nil {
				for _, m := range info.Members {
					beat := kmsg.NewPtrHeartbeatRequest()
					beat.UnknownTags.Set(keeperTag, nil)
					beat.Group, beat.MemberID, beat.InstanceID = groupName, m.MemberID, m.InstanceID
					w.beat(beat, info.Epoch)
				}
			}
			select {
			case <-w.over:
				return
			case <-every.C:
			}
		}
	})
}

// keeperTag marks heartbeats of keepAlive.
const keeperTag = 1 << 20

// concerns says that a fault may answer the request.
func concerns(r kmsg.Request) bool {
	beat, ok := r.(*kmsg.HeartbeatRequest)
	if !ok {
		return true
	}
	kept := false
	beat.UnknownTags.Each(func(key uint32, _ []byte) { kept = kept || key == keeperTag })
	return !kept
}

// close ends everything: a bubble ends only when all its goroutines have.
func (w *world) close() {
	for _, m := range w.all() {
		m.end()
	}
	for _, m := range w.all() {
		<-m.done
	}
	for slices.ContainsFunc(w.all(), (*member).isDeaf) {
		time.Sleep(time.Second)
	}
	close(w.over)
	w.goroutines.Wait()
	w.cl.Close()
	w.c.Close()
	w.f.carriers.Wait()
}

func (w *world) all() []*member {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*member(nil), w.members...)
}

// later runs f beside the test; close waits for it.
func (w *world) later(f func()) { w.goroutines.Go(f) }

// A keyed is a record to be produced; a nil key is a null key.
type keyed struct {
	partition int32
	key       []byte
	value     string
}

// produce writes records, each partition's in their order. They are in the history
// before anybody can read them: what their offsets will be is known, for nobody
// else writes.
func (w *world) produce(recs []keyed) {
	w.t.Helper()
	out := make([]*kgo.Record, 0, len(recs))
	want := make([]int64, 0, len(recs))
	w.mu.Lock()
	for _, r := range recs {
		offset := w.ends[r.partition]
		if len(r.value) >= largeValue {
			w.large[record{place{topicName, r.partition}, offset}] = true
		}
		w.ends[r.partition]++
		w.keyOf[record{place{topicName, r.partition}, offset}] = r.key
		w.h.add(history.Event{Kind: history.Log, Topic: topicName, Partition: r.partition, Offset: offset, Key: history.BytesKey(r.key)})
		out = append(out, &kgo.Record{Topic: topicName, Partition: r.partition, Key: r.key, Value: []byte(r.value)})
		want = append(want, offset)
	}
	w.mu.Unlock()
	for i, r := range w.cl.ProduceSync(context.Background(), out...) {
		if r.Err != nil {
			w.t.Errorf("producing: %v", r.Err)
			return
		}
		_ = i
	}
	for i, r := range out {
		if r.Offset != want[i] {
			w.t.Errorf("record %d of partition %d was written at offset %d, not %d: the history names wrong offsets", i, r.Partition, r.Offset, want[i])
			return
		}
	}
}

// transaction writes records in a transaction that is committed or aborted; both
// leave a marker, which takes an offset.
func (w *world) transaction(recs []keyed, commit bool) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.Dialer(newHost(w.f).dial), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("sim"), kgo.ProducerLinger(0), kgo.DisableClientMetrics())
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.t.Error(err)
		return
	}
	var out []*kgo.Record
	touched := make(map[int32]bool)
	w.mu.Lock()
	for _, r := range recs {
		if commit {
			w.keyOf[record{place{topicName, r.partition}, w.ends[r.partition]}] = r.key
			w.h.add(history.Event{Kind: history.Log, Topic: topicName, Partition: r.partition, Offset: w.ends[r.partition], Key: history.BytesKey(r.key)})
		}
		w.ends[r.partition]++
		touched[r.partition] = true
		out = append(out, &kgo.Record{Topic: topicName, Partition: r.partition, Key: r.key, Value: []byte(r.value)})
	}
	for p := range touched {
		w.ends[p]++
	}
	w.mu.Unlock()
	if err := cl.ProduceSync(context.Background(), out...).FirstErr(); err != nil {
		w.t.Errorf("producing in a transaction: %v", err)
		return
	}
	if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(commit)); err != nil {
		w.t.Errorf("ending a transaction: %v", err)
	}
}

// fill produces n records over the partitions, round robin, with keys k0 to
// k(keys-1); key 0 of them is null when nulls is set.
func (w *world) fill(n, keys int, nulls bool) {
	w.t.Helper()
	w.mu.Lock()
	partitions := len(w.ends)
	w.mu.Unlock()
	recs := make([]keyed, 0, n)
	for i := range n {
		r := keyed{partition: int32(i % partitions), value: strconv.Itoa(i)}
		if k := (i / partitions) % keys; k != 0 || !nulls {
			r.key = fmt.Appendf(nil, "k%d", k)
		}
		recs = append(recs, r)
	}
	w.produce(recs)
}

// grow gives the topic another partition.
func (w *world) grow() {
	r, err := w.adm.CreatePartitions(context.Background(), 1, topicName)
	if err != nil || r[topicName].Err != nil {
		w.t.Errorf("adding a partition: %v %v", err, r[topicName].Err)
		return
	}
	w.cl.ForceMetadataRefresh() // or the producer does not know it
	time.Sleep(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, 0)
}

// behind names the partitions whose committed offset is not the end of the log.
func (w *world) behind() (out []string) {
	w.mu.Lock()
	ends := append([]int64(nil), w.ends...)
	w.mu.Unlock()
	for p, end := range ends {
		st, ok := w.h.committed(topicName, int32(p))
		if end > 0 && (!ok || st.offset != end) {
			out = append(out, fmt.Sprintf("partition %d: committed %d of %d", p, st.offset, end))
		}
	}
	return out
}

// caughtUp waits until all partitions are committed to their end, for at most d.
func (w *world) caughtUp(d time.Duration) {
	w.t.Helper()
	until := time.Now().Add(d)
	for len(w.behind()) > 0 {
		if time.Now().After(until) {
			w.t.Errorf("not done after %s: %v", d, w.behind())
			w.t.Logf("the group: %+v", w.c.GroupInfo(groupName))
			for _, m := range w.all() {
				if m.running() {
					w.t.Logf("%s: %+v", m.name, m.c.State())
				} else {
					w.t.Logf("%s has ended: %v", m.name, m.err)
				}
			}
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// until waits for a condition, for at most d of virtual time.
func (w *world) until(what string, d time.Duration, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(d); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("after %s there was still not: %s", d, what)
		}
	}
}

// verdict checks the history; complete also demands that everything is done.
func (w *world) verdict(scope orderly.Scope, complete bool) {
	w.t.Helper()
	events := slices.DeleteFunc(w.h.events(), func(e history.Event) bool {
		return e.Kind == history.Done && e.Why == resolved && e.At <= w.forgotten[record{place{e.Topic, e.Partition}, e.Offset}]
	})
	rep := history.Check(events, history.Options{Scope: history.Scope(scope), Complete: complete, AllowVacuous: true})
	if err := rep.Err(); err != nil {
		w.t.Error(err)
	}
	for i, s := range slices.Concat(superseded(events), w.h.broken, w.ledger.judge()) {
		if i < 3 {
			w.t.Error(s)
		}
	}
}

// logBuffer keeps what members log, to be saved beside a failing history.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) WriteTo(w io.Writer) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := w.Write(l.b.Bytes())
	return int64(n), err
}
