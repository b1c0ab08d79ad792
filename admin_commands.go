package orderly

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/parkinglog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A Command names what an operator's word is about: a key, by the source offset of a
// record of it.
type Command struct {
	Topic     string
	Partition int32
	Key       []byte // the ordering key; nil: records without one, or partition scope
	Offset    int64
	Reason    string
	// ID makes a repeat do nothing more. Default: a random one.
	ID string
}

// An Answer is what became of a command.
type Answer struct {
	ID     string
	State  string // "requested" (no owner has begun), "accepted", "done" or "refused"; empty: it is not known to be written
	Result string
	At     time.Time
}

// Retry releases a parked key now: its records are handed to the handler in order,
// until one fails. Of a blocked key the record at Offset is tried now. It returns when
// the owner has answered, or with ctx: the command stays where it is then, and is done
// when the partition has an owner. A parking topic that is not there yet is made.
func (a *Admin) Retry(ctx context.Context, c Command) (Answer, error) {
	return a.command(ctx, parking.Retry, c)
}

// Skip lets a record count as done: a hole in the order of its key, written down with
// the reason, which is required. A parked record can be skipped wherever it stands; of a
// blocked key only the first, or one behind such as are skipped or done.
func (a *Admin) Skip(ctx context.Context, c Command) (Answer, error) {
	if c.Reason == "" {
		return Answer{}, errors.New("orderly: a skip needs a reason: it is a hole in the order of its key")
	}
	return a.command(ctx, parking.Skip, c)
}

// Park parks a blocked key, under every policy: the record at Offset is its oldest, and
// the later ones follow it. It waits for an operator then. A reason is required.
func (a *Admin) Park(ctx context.Context, c Command) (Answer, error) {
	if c.Reason == "" {
		return Answer{}, errors.New("orderly: parking a key by word needs a reason: its records wait until somebody releases them")
	}
	return a.command(ctx, parking.Park, c)
}

func (a *Admin) command(ctx context.Context, verb parking.Verb, c Command) (Answer, error) {
	l, name, err := a.opened(ctx, c.Topic)
	if err != nil {
		return Answer{ID: c.ID}, err
	}
	e := &parking.Entry{Kind: parking.KindCommand, Key: c.Key, Offset: c.Offset,
		Command: &parking.CommandBody{ID: c.ID, Verb: verb, Reason: c.Reason}}
	return a.send(ctx, l, place{topic: c.Topic, partition: c.Partition}, name, e)
}

// A Target is what is paused or resumed: a group, a topic of it, partitions, a key.
type Target struct {
	Topic      string  // empty: all topics of which the group has commits
	Partitions []int32 // of Topic; none: all
	// Keyed: a key alone, of the one partition that is named.
	Keyed  bool
	Key    []byte // the ordering key; nil: records without one
	Reason string // Pause requires one
	// ID makes a repeat do nothing more. Default: a random one.
	ID string
}

// A PartitionAnswer is what became of a command in one partition.
type PartitionAnswer struct {
	Topic     string
	Partition int32
	Answer
}

// Pause holds up partitions, or a key: what runs ends, and nothing of it is handed over
// until it is resumed, whoever owns it and however often they start. A key's records
// wait in memory, within Buffer.Window; then its partition pauses. What has already
// failed is parked nevertheless. It is in force from the owner's answer on, at the
// latest. There is one answer for each partition; those that have none have no owner, or
// one that does not get to it: the command stays, and holds from the next owner on.
func (a *Admin) Pause(ctx context.Context, t Target) ([]PartitionAnswer, error) {
	if t.Reason == "" {
		return nil, errors.New("orderly: a pause needs a reason: it outlasts everybody who knows of it")
	}
	return a.pause(ctx, parking.Pause, t)
}

// Resume ends pauses. Only the pause of a key ends that of a key, and only that of a
// partition the partition's.
func (a *Admin) Resume(ctx context.Context, t Target) ([]PartitionAnswer, error) {
	return a.pause(ctx, parking.Resume, t)
}

func (a *Admin) pause(ctx context.Context, verb parking.Verb, t Target) ([]PartitionAnswer, error) {
	switch {
	case t.Topic == "" && (len(t.Partitions) > 0 || t.Keyed):
		return nil, errors.New("orderly: Target.Topic is empty: partitions and keys are of a topic")
	case t.Keyed && len(t.Partitions) != 1:
		return nil, errors.New("orderly: Target.Keyed needs the one partition of the key in Target.Partitions")
	}
	if t.ID == "" {
		t.ID = rand.Text()
	}
	topics := []string{t.Topic}
	if t.Topic == "" {
		var err error
		if topics, err = a.topics(ctx); err != nil {
			return nil, err
		}
	}
	var all []PartitionAnswer
	var errs []error
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, topic := range topics {
		l, name, err := a.opened(ctx, topic)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		partitions := t.Partitions
		if len(partitions) == 0 {
			source, err := parkinglog.Find(ctx, a.cl, topic)
			if err != nil {
				errs = append(errs, fmt.Errorf("orderly: topic %s: %w", topic, err))
				continue
			}
			for p := range source.Partitions {
				partitions = append(partitions, int32(p))
			}
		}
		for _, p := range partitions {
			wg.Go(func() {
				e := &parking.Entry{Kind: parking.KindCommand, Command: &parking.CommandBody{ID: t.ID, Verb: verb, Whole: !t.Keyed, Reason: t.Reason}}
				if t.Keyed {
					e.Key = t.Key
				}
				ans, err := a.send(ctx, l, place{topic: topic, partition: p}, name, e)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, PartitionAnswer{topic, p, ans})
				if err != nil {
					errs = append(errs, err)
				}
			})
		}
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b PartitionAnswer) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition - b.Partition)
	})
	return all, errors.Join(errs...)
}

// topics are those of which the group has commits.
func (a *Admin) topics(ctx context.Context) (topics []string, err error) {
	offsets, err := kadm.NewClient(a.cl).FetchOffsets(ctx, a.cfg.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("orderly: what group %s has committed, for which Describe on the group is needed: %w", a.cfg.Group, err)
	}
	for topic := range offsets {
		topics = append(topics, topic)
	}
	if slices.Sort(topics); len(topics) == 0 {
		return nil, fmt.Errorf("orderly: group %s has committed nothing: is it the right group? Otherwise name the topic", a.cfg.Group)
	}
	return topics, nil
}

// opened returns the parking topic for a command: the first one makes it, for a group
// that is there. Its owners find it when they look for topics again.
func (a *Admin) opened(ctx context.Context, topic string) (*parkinglog.Log, string, error) {
	if a.cfg.Who == "" {
		return nil, "", errors.New("orderly: AdminConfig.Who is empty: commands say who gave them")
	}
	l, name, _, err := a.find(ctx, topic)
	if !errors.Is(err, errNoParkingTopic) {
		return l, name, err
	}
	refused := func(err error) error { return &ParkingTopicError{Source: topic, Topic: name, Err: err} }
	offsets, oerr := kadm.NewClient(a.cl).FetchOffsetsForTopics(ctx, a.cfg.Group, topic)
	known := false
	for _, o := range offsets[topic] {
		known = known || o.Err == nil && o.At >= 0
	}
	if oerr != nil || !known {
		// Nobody's: nothing is made for a name that is mistyped.
		return nil, name, refused(fmt.Errorf("it is not there, and group %s has committed nothing of topic %s: a command makes it only for a topic that the group has commits of", a.cfg.Group, topic))
	}
	plan, err := parkinglog.Make(ctx, a.cl, topic, name)
	if err == nil {
		err = plan.Carry(ctx, a.cl)
	}
	if err != nil {
		return nil, name, refused(fmt.Errorf("commands are records of it, and it cannot be made: %w", err))
	}
	for tries := 0; ; tries++ {
		if l, name, _, err = a.find(ctx, topic); !errors.Is(err, errNoParkingTopic) || tries == 100 {
			return l, name, err
		}
		select { // the broker that was asked has not heard of it yet
		case <-ctx.Done():
			return l, name, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// send writes a command to a partition and waits for its owner's answer.
func (a *Admin) send(ctx context.Context, l *parkinglog.Log, to place, name string, e *parking.Entry) (Answer, error) {
	c := e.Command
	if c.ID == "" {
		c.ID = rand.Text()
	}
	c.Who, c.When = a.cfg.Who, time.Now().UnixMilli()
	ans := Answer{ID: c.ID}
	found, err := parkinglog.Find(ctx, a.cl, name)
	if err != nil {
		return ans, &ParkingTopicError{Source: to.topic, Topic: name, Err: err}
	}
	if to.partition < 0 || int(to.partition) >= found.Partitions {
		return ans, &ParkingTopicError{Source: to.topic, Topic: name, Err: fmt.Errorf("it has %d partitions and none of number %d", found.Partitions, to.partition)}
	}
	type written struct {
		pos int64
		err error
	}
	at := make(chan written, 1)
	l.Write(ctx, to.partition, e, func(pos int64, _ parking.WriteError, err error) { at <- written{pos, err} })
	w := <-at
	if w.err != nil {
		return ans, &ParkingTopicError{Source: to.topic, Topic: name, Err: w.err}
	}
	ans.State = "requested"
	for {
		if err = a.follow(ctx, l, to, name, &ans); !errors.Is(err, kerr.OffsetOutOfRange) {
			break // otherwise it was trimmed meanwhile, and what is needed stands behind that
		}
	}
	if err != nil {
		err = fmt.Errorf("orderly: command %s on %s/%d is %s, and has no result yet; it stays in %s and is done when the partition has an owner that can: %w",
			ans.ID, to.topic, to.partition, ans.State, name, err)
	}
	return ans, err
}

// follow reads a partition of the parking topic until the answer is final.
func (a *Admin) follow(ctx context.Context, l *parkinglog.Log, to place, name string, ans *Answer) error {
	// The answer of a repeat may stand before it.
	bounds, err := parkinglog.Bounds(ctx, a.cl, name)
	if err != nil {
		return err
	}
	state, rules := parking.NewState(), parking.DefaultRules()
	return eachEntry(ctx, l, to.partition, bounds[to.partition].Start, func(r parkinglog.Read) bool {
		if state.Apply(r.Pos, r.Entry, &rules) != parking.Counts {
			return true // of an owner that was replaced
		}
		if b := r.Entry.Answer; b != nil && b.Command.ID == ans.ID {
			ans.State, ans.Result, ans.At = string(b.State), b.Result, time.UnixMilli(b.At)
			return b.State == parking.Accepted
		}
		return true
	}, -1)
}
