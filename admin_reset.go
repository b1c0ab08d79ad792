package orderly

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/orderly-go/orderly/internal/rewind"
	"github.com/orderly-go/orderly/store"
	"github.com/twmb/franz-go/pkg/kadm"
)

// What becomes of parked records when offsets are reset.
const (
	// ParkedKeep leaves them parked. Of their keys nothing is handled again below the
	// last parked record. What a store keeps stays there; records of its keys that come
	// again join them, in the order of their offsets.
	ParkedKeep = "keep"
	// ParkedDrop forgets them: those at or above the target come again with the rest of
	// the log, and those below it are never handled. Alone possible where the parking topic
	// is not what the commit says; of one that holds what is no entry it deletes all up to
	// that, which needs Delete on the topic.
	ParkedDrop = "drop"
)

// An OffsetReset moves a group that is stopped to other offsets of a topic.
type OffsetReset struct {
	Topic      string
	Partitions []int32 // none: all
	To         ResetTarget
	Parked     string // ParkedKeep or ParkedDrop; needed when something is parked
	// Store is the database of a consumer with Effects: its positions move with the
	// group's offset. A store.Rewinder; nil: there is none.
	Store  store.Backend
	Reason string // why; it is written down. Required
	DryRun bool   // only say what would be done
}

// A ResetPartition is what a reset does to one partition.
type ResetPartition struct {
	Topic     string
	Partition int32
	From, To  int64 // committed by the group; From -1: nothing
	Stored    []StoreOffsets
	Parked    int // records that are parked
	Lost      int // of these: dropped, and below the target
	Done      bool
}

// ResetOffsets moves a group that has no members: what it has committed, with the
// metadata in which we keep what is done ahead, the positions in a store, and what is
// parked, as one new generation with a fencing token above all before. Everything is
// looked at before anything is changed, and returned, also with an error.
//
// It goes from one partition's store to the next. When it is cut off in between, the
// partitions that are not through refuse to start with a *ResetUnfinishedError, and the
// same reset, called again, completes it. Needs Read on the group, and the right to change
// orderly's tables.
func (a *Admin) ResetOffsets(ctx context.Context, r OffsetReset) ([]ResetPartition, error) {
	if err := a.resettable(&r); err != nil {
		return nil, err
	}
	if err := a.noMembers(ctx); err != nil {
		return nil, err
	}
	now, err := a.offsetsNow(ctx, r.Topic, r.Store)
	if err != nil {
		return nil, err
	}
	if now, err = chosen(&r, now); err != nil {
		return nil, err
	}
	targets, err := a.targets(ctx, &r, now)
	if err != nil {
		return nil, err
	}
	steps := make([]*resetStep, len(now))
	var problems []error
	for i, p := range now {
		steps[i] = newResetStep(p, targets[p.Partition], &r)
		problems = append(problems, steps[i].problem(&r, a.cfg.Group))
	}
	err = errors.Join(problems...)
	if err == nil && !r.DryRun {
		err = a.reset(ctx, &r, steps)
	}
	out := make([]ResetPartition, len(steps))
	for i, s := range steps {
		out[i] = s.out
	}
	return out, err
}

func (a *Admin) resettable(r *OffsetReset) error {
	var ps []string
	if a.cfg.Who == "" {
		ps = append(ps, "AdminConfig.Who is empty: a reset says who gave it")
	}
	if r.Topic == "" {
		ps = append(ps, "OffsetReset.Topic is empty")
	}
	if r.To.kind == "" {
		ps = append(ps, "OffsetReset.To is not set: ToEarliest(), ToLatest(), ToOffset(n), ToTime(t) or ToStored()")
	}
	if r.To.kind == "stored" && r.Store == nil {
		ps = append(ps, "OffsetReset.To is ToStored() without a Store")
	}
	if r.Reason == "" {
		ps = append(ps, "OffsetReset.Reason is empty: records are handled again, or never, and somebody will ask why")
	}
	if !slices.Contains([]string{"", ParkedKeep, ParkedDrop}, r.Parked) {
		ps = append(ps, fmt.Sprintf("OffsetReset.Parked is %q: it is ParkedKeep or ParkedDrop", r.Parked))
	}
	if len(ps) > 0 {
		return &ConfigError{Problems: ps}
	}
	return nil
}

// noMembers makes sure that the group is stopped. Commits of a reset are refused by the
// coordinator when somebody joins later.
func (a *Admin) noMembers(ctx context.Context) error {
	adm := kadm.NewClient(a.cl)
	e := &GroupActiveError{Group: a.cfg.Group}
	groups, err := adm.DescribeGroups(ctx, a.cfg.Group)
	if err != nil {
		return fmt.Errorf("orderly: group %s: %w", a.cfg.Group, err)
	}
	for _, m := range groups[a.cfg.Group].Members {
		e.Members = append(e.Members, m.ClientID+"@"+strings.TrimPrefix(m.ClientHost, "/"))
	}
	if len(e.Members) == 0 { // one whose partitions the broker assigns?
		if groups, err := adm.DescribeConsumerGroups(ctx, a.cfg.Group); err == nil {
			for _, m := range groups[a.cfg.Group].Members {
				e.Members = append(e.Members, m.ClientID+"@"+strings.TrimPrefix(m.ClientHost, "/"))
			}
		}
	}
	if len(e.Members) > 0 {
		return e
	}
	return nil
}

// chosen are the partitions that are meant.
func chosen(r *OffsetReset, all []*partitionNow) (out []*partitionNow, err error) {
	if len(r.Partitions) == 0 {
		return all, nil
	}
	for _, n := range r.Partitions {
		i := slices.IndexFunc(all, func(p *partitionNow) bool { return p.Partition == n })
		if i < 0 {
			return nil, fmt.Errorf("orderly: topic %s has %d partitions and none of number %d", r.Topic, len(all), n)
		}
		if !slices.Contains(out, all[i]) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// targets are the offsets that the target is in each partition.
func (a *Admin) targets(ctx context.Context, r *OffsetReset, now []*partitionNow) (map[int32]int64, error) {
	var at kadm.ListedOffsets
	if r.To.kind == "time" {
		var err error
		if at, err = kadm.NewClient(a.cl).ListOffsetsAfterMilli(ctx, r.To.at.UnixMilli(), r.Topic); err == nil {
			err = at.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("orderly: offsets of topic %s at %s: %w", r.Topic, r.To, err)
		}
	}
	out := make(map[int32]int64)
	for _, p := range now {
		to := r.To.offset
		switch r.To.kind {
		case "earliest":
			to = p.Start
		case "latest":
			to = p.End
		case "time":
			o, _ := at.Lookup(r.Topic, p.Partition)
			to = o.Offset
		case "stored":
			if len(p.Store) == 0 {
				return nil, fmt.Errorf("orderly: topic %s partition %d: the store has no positions of group %s", r.Topic, p.Partition, a.cfg.Group)
			}
			to = p.Watermark
		}
		if to < p.Start || to > p.End {
			return nil, fmt.Errorf("orderly: topic %s partition %d: offset %d is outside the log [%d, %d]: choose one inside, or name the partitions for which it is", r.Topic, p.Partition, to, p.Start, p.End)
		}
		out[p.Partition] = to
	}
	return out, nil
}

// A resetStep is a reset of one partition.
type resetStep struct {
	now   *partitionNow
	token int64
	moves bool // the store's rows move, too
	out   ResetPartition
}

func newResetStep(p *partitionNow, to int64, r *OffsetReset) *resetStep {
	s := &resetStep{now: p, token: p.Token, moves: len(p.rows) > 0 && r.To.kind != "stored"}
	for _, o := range p.Store {
		s.token = max(s.token, o.Token)
	}
	if s.token == 0 { // nobody has left one: the clock is above all that were given before
		s.token = time.Now().UnixMilli()
	}
	s.token++
	s.out = ResetPartition{Topic: p.Topic, Partition: p.Partition, From: p.Committed, To: to, Stored: p.Store, Parked: p.ParkedRecords}
	if r.Parked == ParkedDrop {
		for _, o := range slices.Concat(p.parked.offsets, p.stored) {
			if o < to {
				s.out.Lost++
			}
		}
	}
	return s
}

// problem is what speaks against it.
func (s *resetStep) problem(r *OffsetReset, group string) error {
	p := s.now
	where := fmt.Sprintf("orderly: topic %s partition %d: ", p.Topic, p.Partition)
	switch {
	case p.parked.lost != nil && r.Parked != ParkedDrop:
		return fmt.Errorf(where+"%w: only \"drop\" is possible (--parked)", p.parked.lost)
	case p.parked.damaged != nil && r.Parked != ParkedDrop:
		return fmt.Errorf(where+"what is parked cannot be told, and only \"drop\" is possible (--parked), which deletes the parking topic's records up to offset %d: %w",
			p.parked.sound-1, p.parked.damaged)
	case p.ParkedRecords > 0 && r.Parked == "":
		return fmt.Errorf(where+"parked: %s of %s, from offset %d on: say what becomes of that, \"keep\" or \"drop\" (--parked)",
			counted(int64(p.ParkedRecords), "record"), counted(int64(p.ParkedKeys), "key"), slices.Min(slices.Concat(p.parked.offsets, p.stored)))
	case p.parked.unknown && r.Parked == ParkedKeep:
		return errors.New(where + "the parked records cannot be kept: the commit that said from where the parking topic counts was replaced by something other than orderly; only \"drop\" is possible, and the records can be read from the topic before")
	case r.Parked == ParkedKeep && len(p.parked.offsets) > 0 && p.parked.released > s.out.To:
		return fmt.Errorf(where+"keys that were parked and released are known as done up to offset %d, and with \"keep\" they would not be handled again from %d on: "+
			"retry or skip what is parked, or say \"drop\", or choose a later target", p.parked.released, s.out.To)
	case p.begun && r.Store == nil:
		return fmt.Errorf(where+"a reset of group %s to offset %d was begun with a store and is not through: name the store, too (--store)", group, p.Reset)
	}
	return nil
}

// metadata is what is committed at an offset.
func (s *resetStep) metadata(at int64, base progress.Meta, extra []progress.Field) (string, error) {
	base.Token, base.TopicID, base.Extra = s.token, s.now.topicID, extra
	text, dropped, err := progress.Encode(at, base, progress.DefaultLimit)
	if err == nil && dropped.Extra > 0 {
		err = errors.New("the metadata of the commit has no room for what it must say")
	}
	return text, err
}

// begun is the commit that says that stores are being moved: all else as before.
func (s *resetStep) begun() (kadm.Offset, error) {
	at := max(s.now.Committed, 0)
	if s.now.Committed < 0 {
		at = s.out.To
	}
	base := s.now.meta
	if s.now.Metadata != "ok" {
		base = progress.Meta{}
	}
	text, err := s.metadata(at, base, append(slices.Clone(s.now.meta.Extra), rewind.Mark{Stage: rewind.Begun, Offset: s.out.To}.Field()))
	return kadm.Offset{Topic: s.out.Topic, Partition: s.out.Partition, At: at, LeaderEpoch: -1, Metadata: text}, err
}

// keeps says that the parking topic goes on to count from where it does: what it holds
// is kept, or leaves out nothing of what comes again. Otherwise the next owner takes it
// into use anew, and nothing in it counts but commands.
func (s *resetStep) keeps(r *OffsetReset) bool {
	if s.now.parked.lost != nil || s.now.parked.damaged != nil {
		return false
	}
	if len(s.now.parked.offsets) > 0 {
		return r.Parked == ParkedKeep
	}
	return s.now.parked.released <= s.out.To
}

// through is the commit that ends the reset.
func (s *resetStep) through(r *OffsetReset) (kadm.Offset, error) {
	var extra []progress.Field
	for _, f := range s.now.meta.Extra {
		if f.Tag != parking.GuardTag || s.keeps(r) {
			extra = append(extra, f)
		}
	}
	if r.Parked == ParkedDrop {
		extra = parking.WithoutStored(extra)
	}
	extra = progress.WithNote(extra, nil, 0) // what it says is done comes again
	if r.Store == nil {
		extra = append(extra, rewind.Mark{Stage: rewind.KafkaOnly, Offset: s.out.To}.Field())
	}
	text, err := s.metadata(s.out.To, progress.Meta{Clean: true}, extra)
	return kadm.Offset{Topic: s.out.Topic, Partition: s.out.Partition, At: s.out.To, LeaderEpoch: -1, Metadata: text}, err
}

// reset does it. The coordinator takes these commits only while the group has no
// members; who joins in between finds the mark and does not start.
func (a *Admin) reset(ctx context.Context, r *OffsetReset, steps []*resetStep) error {
	if err := a.audit(ctx, r, steps); err != nil {
		return err
	}
	if err := a.clear(ctx, r.Topic, steps); err != nil {
		return err
	}
	var begun kadm.Offsets
	for _, s := range steps {
		if s.moves {
			o, err := s.begun()
			if err != nil {
				return fmt.Errorf("orderly: topic %s partition %d: %w", s.out.Topic, s.out.Partition, err)
			}
			begun.Add(o)
		}
	}
	if err := a.commitReset(ctx, begun); err != nil {
		return err
	}
	for _, s := range steps {
		for _, row := range s.now.rows {
			if !s.moves {
				continue
			}
			err := r.Store.(store.Rewinder).Rewind(ctx, store.Rewind{Part: row.Part, To: s.out.To, Token: s.token, By: a.cfg.Who, Why: r.Reason, Keep: r.Parked == ParkedKeep})
			if err != nil {
				return errors.Join(fmt.Errorf("orderly: the store, for topic %s partition %d: %w", s.out.Topic, s.out.Partition, err),
					&ResetUnfinishedError{Group: a.cfg.Group, Topic: s.out.Topic, Partition: s.out.Partition, Offset: s.out.To})
			}
		}
	}
	var through kadm.Offsets
	for _, s := range steps {
		o, err := s.through(r)
		if err != nil {
			return fmt.Errorf("orderly: topic %s partition %d: %w", s.out.Topic, s.out.Partition, err)
		}
		through.Add(o)
	}
	if err := a.commitReset(ctx, through); err != nil {
		return err
	}
	for _, s := range steps {
		s.out.Done = true
	}
	return nil
}

func (a *Admin) commitReset(ctx context.Context, os kadm.Offsets) error {
	if len(os) == 0 {
		return nil
	}
	resp, err := kadm.NewClient(a.cl).CommitOffsets(ctx, a.cfg.Group, os)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		err = fmt.Errorf("orderly: committing offsets of group %s, which the coordinator takes only while it has no members; the same reset again completes it: %w", a.cfg.Group, err)
		return errors.Join(err, a.noMembers(ctx))
	}
	return nil
}

// clear deletes what the next owners would stop at, which read the parking topic for commands
// also where nothing else in it counts.
func (a *Admin) clear(ctx context.Context, topic string, steps []*resetStep) error {
	for _, s := range steps {
		if s.now.parked.damaged == nil {
			continue
		}
		l, name, _, err := a.find(ctx, topic)
		if err != nil {
			return err
		}
		if err := l.Delete(ctx, s.out.Partition, s.now.parked.sound); err != nil {
			return &ParkingTopicError{Source: topic, Topic: name, Err: fmt.Errorf("%w; kafka-delete-records does it, too, and then the same reset", err)}
		}
	}
	return nil
}

// audit writes into the parking topic, where there is one, who does what and why.
func (a *Admin) audit(ctx context.Context, r *OffsetReset, steps []*resetStep) error {
	name, err := parking.TopicName(a.cfg.Prefix, a.cfg.Group, r.Topic)
	if err != nil {
		return err
	}
	found, err := parkinglog.Find(ctx, a.cl, name)
	if err != nil {
		return &ParkingTopicError{Source: r.Topic, Topic: name, Err: err}
	}
	l := parkinglog.New(a.cl, name, found.ID)
	for _, s := range steps {
		if !found.Exists || int(s.out.Partition) >= found.Partitions {
			continue
		}
		e := &parking.Entry{Kind: parking.KindCommand, Offset: s.out.To, Command: &parking.CommandBody{ID: rand.Text(), Verb: parking.ResetOffsets, Whole: true,
			Who: a.cfg.Who, When: time.Now().UnixMilli(), Reason: r.Reason}}
		failed := make(chan error, 1)
		l.Write(ctx, s.out.Partition, e, func(_ int64, _ parking.WriteError, err error) { failed <- err })
		if err := <-failed; err != nil {
			return &ParkingTopicError{Source: r.Topic, Topic: name, Err: err}
		}
	}
	return nil
}
