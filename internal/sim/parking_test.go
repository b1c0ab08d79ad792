//go:build synctests

package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Trims are worth their writes here from far fewer entries on.
func init() { parked.TrimAbove = 30 }

var parkingTopic = func() string {
	name, err := parking.TopicName(parking.DefaultPrefix, groupName, topicName)
	if err != nil {
		panic(err)
	}
	return name
}()

// parkings is what the brokers have written to parking topics, as far as it is judged:
// which records were parked, and which of them are durably done.
type parkings struct {
	w      *world
	source [16]byte // id of the topic whose records are parked; zero: nothing is

	mu     sync.Mutex
	tops   map[int32]int64   // the highest token of a marker that a broker was handed
	valid  map[letterID]bool // no higher marker was handed to a broker before
	parked map[record]bool   // written
	notes  map[noteID]*parking.ProgressBody
	runs   int
}

// noteID is what a commit knows a note by, within the partition.
type noteID struct {
	partition  int32
	token, seq int64
}

// noted returns the attempts of the note that a commit names.
func (l *parkings) noted(partition int32, m progress.Meta) []parking.Attempts {
	at := progress.NoteOf(m.Extra, m.Token)
	if at == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.notes[noteID{partition, at.Token, at.Seq}]; n != nil {
		return n.Attempts
	}
	return nil
}

func newParkings(w *world) *parkings {
	return &parkings{w: w, tops: make(map[int32]int64), valid: make(map[letterID]bool), parked: make(map[record]bool), notes: make(map[noteID]*parking.ProgressBody)}
}

// entriesOf reads the entries of one partition's batch.
func entriesOf(p kmsg.ProduceRequestTopicPartition, do func(letterID, *parking.Entry)) error {
	if len(p.Records) == 0 { // a client sends this of a batch that it gives up at that moment
		return nil
	}
	var b kmsg.RecordBatch
	if err := b.ReadFrom(p.Records); err != nil {
		return fmt.Errorf("a batch of entries cannot be read: %w", err)
	}
	if b.Attributes&7 != 0 {
		return errors.New("a batch of entries is compressed: the simulation cannot read it")
	}
	raw := b.Records
	for i := range b.NumRecords {
		head := kbin.Reader{Src: raw}
		length := head.Varint()
		size := len(raw) - len(head.Src) + int(length)
		var r kmsg.Record
		if err := r.ReadFrom(raw[:size]); err != nil {
			return fmt.Errorf("an entry cannot be read: %w", err)
		}
		raw = raw[size:]
		rec := parking.Record{Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, parking.Header{Key: h.Key, Value: h.Value})
		}
		e, err := parking.Decode(rec)
		if err != nil {
			return err
		}
		do(letterID{"", p.Partition, b.ProducerID, b.ProducerEpoch, b.FirstSequence + i}, e)
	}
	return nil
}

func (l *parkings) concerns(topic string, id [16]byte) bool {
	return l.source != [16]byte{} && topic != topicName && id != l.source
}

// processing is called by the cluster, in the order in which it handles writes: what
// counts, the order of markers says.
func (l *parkings) processing(r kmsg.Request) bool {
	req := r.(*kmsg.ProduceRequest)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range req.Topics {
		if !l.concerns(t.Topic, t.TopicID) {
			continue
		}
		for _, p := range t.Partitions {
			err := entriesOf(p, func(id letterID, e *parking.Entry) {
				l.valid[id] = e.Kind == parking.KindCommand || e.Token >= l.tops[p.Partition]
				switch {
				case e.Kind == parking.KindMarker:
					l.tops[p.Partition] = max(l.tops[p.Partition], e.Token)
				case e.Resolved != nil && e.Resolved.Skipped:
					// Known too early, and whether it counts or not, which favours the consumer:
					// its next record may begin as soon as this is read back, and a marker that
					// was handed to a broker may have been refused.
					l.done(p.Partition, e, "skipped by an operator")
				}
			})
			if err != nil {
				l.w.h.contradiction("%v", err)
			}
		}
	}
	return false
}

// answered takes the broker's answer to a write.
func (l *parkings) answered(reqBytes, respBytes []byte) error {
	if l.source == [16]byte{} || kmsg.Key(int16(binary.BigEndian.Uint16(reqBytes[4:]))) != kmsg.Produce {
		return nil
	}
	kreq, ok := parseRequest(reqBytes)
	if !ok {
		return errors.New("a Produce request cannot be read")
	}
	req := kreq.(*kmsg.ProduceRequest)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	body := respBytes[8:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("the answer to a Produce request cannot be read: %w", err)
	}
	written := make(map[int32]bool)
	for _, t := range resp.Topics {
		if l.concerns(t.Topic, t.TopicID) {
			for _, p := range t.Partitions {
				// With these codes the brokers of these tests have written all the same.
				written[p.Partition] = slices.Contains([]int16{0, kerr.RequestTimedOut.Code, kerr.NotEnoughReplicasAfterAppend.Code}, p.ErrorCode)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range req.Topics {
		if !l.concerns(t.Topic, t.TopicID) {
			continue
		}
		for _, p := range t.Partitions {
			if !written[p.Partition] {
				continue
			}
			err := entriesOf(p, func(id letterID, e *parking.Entry) {
				switch {
				case e.Kind == parking.KindParked:
					l.parked[record{place{topicName, p.Partition}, e.Offset}] = true
				case e.Run != nil:
					l.runs++
					for _, f := range e.Run.Records {
						l.parked[record{place{topicName, p.Partition}, f.Offset}] = true
					}
				case e.Progress != nil:
					l.notes[noteID{p.Partition, e.Token, e.Seq}] = e.Progress
				case e.Resolved != nil && !e.Resolved.Skipped && l.valid[id]:
					l.done(p.Partition, e, resolved)
				}
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// resolved is why a record counts as done that was parked, and released.
const resolved = "resolved"

// done says that the records that a resolution names are durably done.
func (l *parkings) done(partition int32, e *parking.Entry, why string) {
	for _, o := range l.w.offsetsOf(partition, e.Key, e.Offset, e.Resolved.Last) {
		l.w.h.add(history.Event{Kind: history.Done, Member: "the parking topic", Topic: topicName, Partition: partition, Offset: o, Why: why})
	}
}

// offsetsOf are those of the records of a key from one offset to another; without a key,
// those of all.
func (w *world) offsetsOf(partition int32, key []byte, from, to int64) (out []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := from; o <= to; o++ {
		if k, ok := w.keyOf[record{place{topicName, partition}, o}]; ok && (key == nil || bytes.Equal(k, key)) {
			out = append(out, o)
		}
	}
	return out
}

// wasParked says whether a record was ever parked.
func (l *parkings) wasParked(r record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[r]
}

// parkingConfig draws how a seed parks.
func parkingConfig(r *rand.Rand) orderly.Parking {
	p := orderly.Parking{First: pick(r, time.Second, 5*time.Second, 20*time.Second)}
	p.Longest = pick(r, p.First, 30*time.Second, time.Minute)
	if p.Longest < p.First {
		p.Longest = p.First
	}
	if r.IntN(4) == 0 {
		p.Caps.RecordsPerKey = pick(r, 1, 3, 20)
	}
	if r.IntN(6) == 0 {
		p.Caps.KeysPerPartition = pick(r, 1, 2)
	}
	return p
}

// prepareParking lets the world see what is parked.
func (w *run) prepareParking() {
	w.parkings.source = w.c.TopicInfo(topicName).TopicID
	w.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Count: -1, Observe: true, When: w.parkings.processing})
}

func (w *world) operator() *orderly.Admin {
	a, err := orderly.NewAdmin(orderly.AdminConfig{Brokers: w.addrs, Group: groupName, Who: "sim",
		KafkaOpts: []kgo.Opt{kgo.Dialer(newHost(w.f).dial), kgo.DisableClientMetrics(), kgo.ProducerBatchCompression(kgo.NoCompression())}})
	if err != nil {
		w.t.Errorf("an operator: %v", err)
	}
	return a
}

// parkedKeys is what the topic says is parked; nil when it cannot be read.
func (w *world) parkedKeys(patience time.Duration) ([]orderly.ParkedKey, error) {
	a := w.operator()
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.ParkedKeys(ctx, topicName)
}

// command lets an operator say something about a parked key, perhaps twice.
func (w *run) command(which int, skip, twice bool, patience time.Duration) {
	w.later(func() {
		a := w.operator()
		defer a.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		keys, err := a.ParkedKeys(ctx, topicName)
		if err != nil || len(keys) == 0 {
			return
		}
		k := keys[which%len(keys)]
		c := orderly.Command{Topic: topicName, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset, Reason: "the plan says so", ID: fmt.Sprintf("c%d", w.nextCommand())}
		do, what := a.Retry, "retry"
		if skip {
			do, what = a.Skip, "skip"
		}
		first, err := do(ctx, c)
		if err != nil {
			w.ledger.count(what + " without an answer in time")
			return
		}
		w.ledger.count(what + " " + first.State)
		if twice {
			if again, err := do(ctx, c); err == nil && (again.State != first.State || again.Result != first.Result) {
				w.h.contradiction("command %s was answered with %s %q, and its repeat with %s %q", c.ID, first.State, first.Result, again.State, again.Result)
			}
		}
	})
}

func (w *run) nextCommand() int {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.commands++
	return w.commands
}

// newParkingStep is what may happen to the parking topic, and what operators do.
func newParkingStep(r *rand.Rand, lasts time.Duration) step {
	name := func(s string) string { return "parking: " + s + " for " + lasts.String() }
	fault := func(w *run, err *kerr.Error, keys ...kmsg.Key) {
		for _, key := range keys {
			w.during(lasts, w.c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: parkingTopic, Err: err, Count: -1}).Remove)
		}
	}
	which, skip, twice := r.IntN(100), r.IntN(2) == 0, r.IntN(3) == 0
	switch r.IntN(10) {
	case 0:
		return step{name: name("no leader"), do: func(w *run) {
			fault(w, kerr.NotLeaderForPartition, kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets)
			fault(w, kerr.LeaderNotAvailable, kmsg.Metadata)
		}}
	case 1:
		return step{name: name("no rights"), do: func(w *run) {
			fault(w, kerr.TopicAuthorizationFailed, kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.DeleteRecords)
		}}
	case 2:
		err := pick(r, kerr.KafkaStorageError, kerr.UnknownServerError, kerr.TopicAuthorizationFailed)
		return step{name: name("not readable: " + err.Message), do: func(w *run) { fault(w, err, kmsg.Fetch) }}
	case 3:
		return step{name: name("not to be trimmed"), do: func(w *run) { fault(w, kerr.TopicAuthorizationFailed, kmsg.DeleteRecords) }}
	case 4:
		answer, lose := r.IntN(2) == 0, r.IntN(3) == 0
		return step{name: name("slow"), do: func(w *run) {
			for _, m := range w.all() {
				until := make(chan struct{})
				for range 5 {
					m.host.add(hold{key: kmsg.Produce, until: until, answer: answer, lose: lose})
				}
				w.during(lasts, func() { close(until) })
			}
		}}
	case 5, 6, 7:
		return step{name: fmt.Sprintf("an operator's word, skip %t, twice %t", skip, twice), do: func(w *run) { w.command(which, skip, twice, lasts+time.Minute) }}
	}
	err := pick(r, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.KafkaStorageError,
		kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.PolicyViolation, kerr.InvalidRecord, kerr.MessageTooLarge)
	return step{name: name("writes answered with " + err.Message), do: func(w *run) { fault(w, err, kmsg.Produce) }}
}

// waitsParked says which sequences are parked and wait for mending: an operator has to
// release them, or their head fails whatever is done.
func (w *run) waitsParked() map[place]map[history.Key]orderly.ParkedKey {
	out := make(map[place]map[history.Key]orderly.ParkedKey)
	if w.failures.policy != orderly.PolicyPark {
		return out
	}
	keys, err := w.parkedKeys(time.Minute)
	if err != nil && w.c.TopicInfo(parkingTopic) != nil {
		w.log.Info("step", "cannot read what is parked", err)
	}
	for _, k := range keys {
		at := place{topicName, k.Partition}
		if out[at] == nil {
			out[at] = make(map[history.Key]orderly.ParkedKey)
		}
		out[at][history.BytesKey(k.Key)] = k
	}
	return out
}

// unpark is what an operator does under park when all is mended: each key is retried
// that waits for it. The others come back by themselves.
func (w *run) unpark() {
	if w.failures.policy != orderly.PolicyPark {
		return
	}
	var keys []orderly.ParkedKey
	var err error
	for until := time.Now().Add(2 * time.Hour); time.Now().Before(until); time.Sleep(5 * time.Second) {
		if keys, err = w.parkedKeys(time.Minute); err != nil {
			continue
		}
		if len(keys) == 0 {
			if len(w.knownParked()) > 0 {
				continue // the topic says so, and its owner has not read it yet
			}
			return
		}
		w.ledger.count("released in the end")
		a := w.operator()
		var wg sync.WaitGroup
		for _, k := range keys {
			if k.Permanent {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
					defer cancel()
					_, _ = a.Retry(ctx, orderly.Command{Topic: topicName, Partition: k.Partition, Key: k.Key, Offset: k.FirstOffset})
				})
			}
		}
		wg.Wait()
		a.Close()
	}
	w.t.Errorf("2h after all was mended %d keys are still parked, error %v: %+v", len(keys), err, keys[:min(3, len(keys))])
	for _, m := range w.all() {
		if m.running() {
			w.t.Logf("%s: %+v", m.name, m.c.State())
		}
	}
}

// nothingIsParked judges the end: the owners know of nothing that is parked, and each
// record was done by a handler or skipped by an operator.
func (w *world) nothingIsParked() {
	done := make(map[record]bool)
	var log []record
	for _, e := range w.h.events() {
		r := record{place{e.Topic, e.Partition}, e.Offset}
		switch {
		case e.Kind == history.Done || e.Kind == history.End && e.OK && !e.Cancelled:
			done[r] = true
		case e.Kind == history.Log:
			log = append(log, r)
		}
	}
	if lost := slices.DeleteFunc(log, func(r record) bool { return done[r] }); len(lost) > 0 {
		w.t.Errorf("%d records were parked and never done, among them %v", len(lost), lost[0])
	}
	for _, p := range w.knownParked() {
		w.t.Errorf("the owner of partition %d still knows of parked records: %+v", p.Partition, p)
	}
}

// knownParked are the partitions of whose parked records their owners know.
func (w *world) knownParked() (parts []orderly.PartitionState) {
	newest := make(map[int32]orderly.PartitionState) // one that was replaced may not know it
	for _, m := range w.all() {
		if m.running() && !m.isKilled() {
			for _, p := range m.c.State().Partitions {
				if p.FencingToken > newest[p.Partition].FencingToken {
					newest[p.Partition] = p
				}
			}
		}
	}
	for _, p := range newest {
		if p.Parking.Records > 0 || p.Parking.Keys > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}
