package orderly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/internal/rewind"
	"github.com/orderly-go/orderly/store"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// PartitionOffsets is how far a group is in one partition, by all that keep it.
type PartitionOffsets struct {
	Topic      string
	Partition  int32
	Start, End int64  // of the log
	Committed  int64  // by the group; -1: nothing
	Metadata   string // of the commit: "ok", "none", "foreign", "moved" or "unreadable"
	Token      int64
	DoneAhead  int64 // offsets above the committed one that are done
	Attempts   int   // of records that are not settled
	// Watermark is the lowest offset that is not settled: the store's low-water row
	// where there is one, else what is committed. -1: not known.
	Watermark     int64
	ParkedKeys    int
	ParkedRecords int
	// Reset is where a reset leads that was begun and is not through, or that no store
	// knows of; -1: there is none.
	Reset int64
	Store []StoreOffsets // of each handler that has positions
}

// StoreOffsets is what a database says of a partition.
type StoreOffsets struct {
	Handler    string
	Token      int64
	Low        int64 // reading begins here
	Lanes      int   // that have a position
	Highest    int64 // of these positions; -1: there is none
	Exceptions int   // records below that are not applied
}

// partitionNow is a partition as a reset finds it.
type partitionNow struct {
	PartitionOffsets
	topicID [16]byte
	meta    progress.Meta // of a commit of ours, else empty
	guard   *parking.Guard
	parked  parkedNow
	rows    []store.Standing
	stored  []int64 // offsets of records that the store keeps parked
	begun   bool    // a reset with a store was begun
}

// parkedNow is what is parked of a partition.
type parkedNow struct {
	keys     int
	offsets  []int64                   // of the records, sorted
	released int64                     // up to here a key is done that is not parked any more
	unknown  bool                      // no commit says from where the topic counts, and it holds something
	lost     error                     // the topic is not what the commit says, and the partition waits; nil: it is
	damaged  *parkinglog.PositionError // the first record that is no entry; nil: there is none
	sound    int64                     // behind the last of those
}

// Offsets reads how far the group is in the partitions of a topic. With a store it also
// reads that; nil: it does not. Needs Describe on group and topics, and Read on the parking topic.
func (a *Admin) Offsets(ctx context.Context, topic string, in store.Backend) ([]PartitionOffsets, error) {
	all, err := a.offsetsNow(ctx, topic, in)
	if err != nil {
		return nil, err
	}
	out := make([]PartitionOffsets, len(all))
	for i, p := range all {
		if at := p.parked.damaged; at != nil {
			return nil, &ParkingTopicError{Source: topic, Topic: at.Topic, Err: at}
		}
		out[i] = p.PartitionOffsets
	}
	return out, nil
}

// commits is what the group has committed in a topic. A group that the broker does not
// know has committed nothing yet.
func (a *Admin) commits(ctx context.Context, topic string) (kadm.OffsetResponses, error) {
	offsets, err := kadm.NewClient(a.cl).FetchOffsetsForTopics(ctx, a.cfg.Group, topic)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return offsets, err
}

func (a *Admin) offsetsNow(ctx context.Context, topic string, in store.Backend) ([]*partitionNow, error) {
	adm := kadm.NewClient(a.cl)
	md, err := adm.Metadata(ctx, topic)
	if err == nil {
		err = md.Topics[topic].Err
	}
	if err != nil {
		return nil, fmt.Errorf("orderly: topic %s: %w", topic, err)
	}
	starts, err1 := adm.ListStartOffsets(ctx, topic)
	ends, err2 := adm.ListEndOffsets(ctx, topic)
	offsets, err3 := a.commits(ctx, topic)
	if err := errors.Join(err1, err2, starts.Error(), ends.Error(), err3); err != nil {
		return nil, fmt.Errorf("orderly: offsets of group %s and topic %s: %w", a.cfg.Group, topic, err)
	}
	var out []*partitionNow
	for partition := range md.Topics[topic].Partitions {
		p := &partitionNow{topicID: md.Topics[topic].ID}
		start, _ := starts.Lookup(topic, partition)
		end, _ := ends.Lookup(topic, partition)
		p.Topic, p.Partition, p.Start, p.End, p.Committed, p.Reset = topic, partition, start.Offset, end.Offset, -1, -1
		if o, ok := offsets.Lookup(topic, partition); ok {
			if o.Err != nil {
				return nil, fmt.Errorf("orderly: what group %s has committed of topic %s partition %d: %w", a.cfg.Group, topic, partition, o.Err)
			}
			if err := p.committed(o.At, o.Metadata); err != nil {
				return nil, fmt.Errorf("orderly: topic %s partition %d: %w", topic, partition, err)
			}
		}
		p.Watermark = p.Committed
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *partitionNow) int { return cmp.Compare(a.Partition, b.Partition) })
	if err := a.parkedNow(ctx, topic, out); err != nil {
		return nil, err
	}
	return out, storeNow(ctx, a.cfg.Group, topic, in, out)
}

// committed takes in what the group has committed.
func (p *partitionNow) committed(at int64, text string) error {
	p.Committed = at
	if at < 0 {
		p.Metadata = "none"
		return nil
	}
	meta, err := progress.Decode(at, text)
	var moved *progress.MovedError
	switch {
	case text == "":
		p.Metadata = "none"
		return nil
	case errors.Is(err, progress.ErrForeign):
		p.Metadata = "foreign"
		return nil
	case errors.As(err, &moved):
		p.Metadata = "moved" // its token still counts, and what it says of the parking topic
	case err != nil:
		p.Metadata = "unreadable"
		return nil
	default:
		p.Metadata = "ok"
	}
	p.Token = meta.Token
	for _, run := range meta.Ahead {
		p.DoneAhead += run.To - run.From
	}
	for _, a := range meta.Attempts {
		p.Attempts += a.Count
	}
	mark, others, err := rewind.Of(meta.Extra)
	if err != nil {
		return err
	}
	meta.Extra = others
	if mark != nil {
		p.Reset, p.begun = mark.Offset, mark.Stage == rewind.Begun
	}
	p.meta = meta
	p.guard, err = parking.GuardOf(meta.Extra)
	return err
}

// parkedNow reads what is parked.
func (a *Admin) parkedNow(ctx context.Context, topic string, parts []*partitionNow) error {
	name, err := parking.TopicName(a.cfg.Prefix, a.cfg.Group, topic)
	if err != nil {
		return err
	}
	found, err := parkinglog.Find(ctx, a.cl, name)
	if err != nil {
		return &ParkingTopicError{Source: topic, Topic: name, Err: err}
	}
	if !found.Exists {
		for _, p := range parts {
			p.checkGuard(found, parkinglog.Bound{})
		}
		return nil
	}
	bounds, err := parkinglog.Bounds(ctx, a.cl, name)
	if err != nil {
		return &ParkingTopicError{Source: topic, Topic: name, Err: err}
	}
	l := parkinglog.New(a.cl, name, found.ID)
	for _, p := range parts {
		b, ok := bounds[p.Partition]
		if !ok || b.Err != nil {
			if b.Err != nil {
				return &ParkingTopicError{Source: topic, Topic: name, Err: b.Err}
			}
			continue
		}
		known := p.guard != nil && p.guard.TopicID == found.ID
		from := b.Start
		if known {
			from = max(from, p.guard.Trim)
		}
		if p.parked, err = parkedIn(ctx, l, p.Partition, parkinglog.Bound{Start: from, End: b.End}); err != nil {
			return &ParkingTopicError{Source: topic, Topic: name, Err: err}
		}
		if !known && p.Metadata == "ok" { // the commit says that nothing in it counts; it is read for commands
			p.parked = parkedNow{damaged: p.parked.damaged, sound: p.parked.sound}
		}
		p.checkGuard(found, b)
		p.parked.unknown = !known && len(p.parked.offsets) > 0
		p.ParkedKeys, p.ParkedRecords = p.parked.keys, len(p.parked.offsets)
	}
	return nil
}

// checkGuard compares the parking topic with what the commit says of it, as an owner does.
func (p *partitionNow) checkGuard(found parkinglog.Topic, b parkinglog.Bound) {
	if p.guard == nil {
		return
	}
	rules := parking.DefaultRules()
	_, _, p.parked.lost = parking.Check(parking.Found{Committed: true, Guard: p.guard, Topic: found.Exists, TopicID: found.ID, Start: b.Start}, &rules)
}

// parkedIn adds up one partition of the parking topic, as far as it can be read.
func parkedIn(ctx context.Context, l *parkinglog.Log, partition int32, b parkinglog.Bound) (out parkedNow, err error) {
	rules, state := parking.DefaultRules(), parking.NewState()
	for from := b.Start; ; {
		err = eachEntry(ctx, l, partition, from, func(r parkinglog.Read) bool {
			state.Apply(r.Pos, r.Entry, &rules)
			return r.Pos+1 < b.End
		}, b.End)
		var at *parkinglog.PositionError
		if !errors.As(err, &at) || at.Pos >= b.End {
			break
		}
		if out.damaged == nil {
			out.damaged = at
		}
		from, out.sound, err = at.Pos+1, at.Pos+1, nil
	}
	out.keys, _, _, _ = state.Counts()
	out.offsets, out.released = state.Offsets(), state.Released()
	return out, err
}

// storeNow reads what the store says.
func storeNow(ctx context.Context, group, topic string, in store.Backend, parts []*partitionNow) error {
	if in == nil {
		return nil
	}
	r, ok := in.(store.Rewinder)
	if !ok {
		return fmt.Errorf("orderly: the store %T cannot say what it has: it is no store.Rewinder", in)
	}
	all, err := r.Standings(ctx, group, topic)
	if err != nil {
		return fmt.Errorf("orderly: the store's positions of group %s and topic %s: %w", group, topic, err)
	}
	for _, p := range parts {
		for _, s := range all {
			if s.Part.Partition != p.Partition || s.Part.TopicID != p.topicID {
				continue
			}
			o := StoreOffsets{Handler: s.Part.Handler, Token: s.State.Token, Low: s.State.Low, Lanes: len(s.State.Lanes), Highest: -1, Exceptions: len(s.State.Exceptions)}
			for _, l := range s.State.Lanes {
				o.Highest = max(o.Highest, l.Position)
			}
			if len(p.Store) == 0 || o.Low < p.Watermark {
				p.Watermark = o.Low
			}
			p.Store, p.rows = append(p.Store, o), append(p.rows, s)
			p.countStored(s)
		}
	}
	return nil
}

// A ResetTarget is where a reset leads.
type ResetTarget struct {
	kind   string
	offset int64
	at     time.Time
}

// ToEarliest is the start of the log.
func ToEarliest() ResetTarget { return ResetTarget{kind: "earliest"} }

// ToLatest is the end of the log.
func ToLatest() ResetTarget { return ResetTarget{kind: "latest"} }

// ToOffset is an offset, the same in each partition.
func ToOffset(offset int64) ResetTarget { return ResetTarget{kind: "offset", offset: offset} }

// ToTime is the first record that is not older; where there is none, the end of the log.
func ToTime(at time.Time) ResetTarget { return ResetTarget{kind: "time", at: at} }

// ToStored is where the store is: the group's offset is put back to that, after it was
// moved by something else, and the store stays as it is.
func ToStored() ResetTarget { return ResetTarget{kind: "stored"} }

// String says it as the command line does.
func (t ResetTarget) String() string {
	switch t.kind {
	case "offset":
		return fmt.Sprint(t.offset)
	case "time":
		return t.at.Format(time.RFC3339)
	}
	return t.kind
}
