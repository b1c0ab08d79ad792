package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Version is that of the JSON document.
const Version = 1

// A Report is what is known of a group.
type Report struct {
	Version    int         `json:"version"`
	Time       time.Time   `json:"time"`
	Group      string      `json:"group"`
	State      string      `json:"state"`
	Members    []Member    `json:"members"`
	Partitions []Partition `json:"partitions"`
	Parked     *Parked     `json:"parked"`    // null: no owner was reached
	Unreached  []Unreached `json:"unreached"` // of --members
}

// A Member is a member as the coordinator knows it.
type Member struct {
	ID         string   `json:"id"`
	InstanceID string   `json:"instance_id,omitempty"`
	ClientID   string   `json:"client_id"`
	Host       string   `json:"host"`
	Partitions int      `json:"partitions"`
	Address    string   `json:"address,omitempty"` // where it serves its state
	Breaker    *Breaker `json:"breaker"`           // null: it was not reached
}

// A Partition is one that the group has committed or that a member owns.
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Owner     string `json:"owner,omitempty"`
	Committed int64  `json:"committed"` // -1: nothing
	Start     int64  `json:"start"`
	End       int64  `json:"end"` // last stable offset; -1: not known
	Lag       int64  `json:"lag"` // -1: not known
	Undone    int64  `json:"undone"`

	// From the commit's metadata.
	Metadata     string `json:"metadata"` // ok, none, or what is wrong with it
	FencingToken int64  `json:"fencing_token"`
	DoneAhead    int64  `json:"done_ahead"`
	Failed       int    `json:"failed"` // records with attempts that failed
	Attempts     int    `json:"attempts"`
	Clean        bool   `json:"clean"`
	Unclean      int    `json:"unclean_ends"`

	// From its owner, when that was reached.
	Live *Live `json:"live"`
}

// A NotThereError says that the group is nowhere.
type NotThereError struct{ Group string }

func (e *NotThereError) Error() string {
	return fmt.Sprintf("the group %q has no members and has committed nothing: is it the right name, and the right cluster?", e.Group)
}

// Look asks the cluster.
func Look(ctx context.Context, adm *kadm.Client, group string) (*Report, error) {
	r := &Report{Version: Version, Time: time.Now(), Group: group, Members: []Member{}, Partitions: []Partition{}, Unreached: []Unreached{}}
	owners := map[key]string{}
	if err := r.describe(ctx, adm, owners); err != nil {
		return nil, err
	}
	offsets, err := adm.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) && len(r.Members) == 0 {
		return nil, &NotThereError{group}
	}
	if err != nil {
		return nil, refused(group, "Read", err)
	}
	at := map[key]Partition{}
	topics := map[string]bool{}
	for k, owner := range owners {
		topics[k.topic] = true
		at[k] = Partition{Topic: k.topic, Partition: k.partition, Owner: owner, Committed: -1, Metadata: "none"}
	}
	var bad error
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil {
			bad = refused(group, "Read", o.Err)
			return
		}
		k := key{o.Topic, o.Partition}
		topics[o.Topic] = true
		at[k] = decoded(Partition{Topic: o.Topic, Partition: o.Partition, Owner: owners[k], Committed: o.At}, o.Metadata)
	})
	if bad != nil {
		return nil, bad
	}
	if len(at) == 0 && len(r.Members) == 0 {
		return nil, &NotThereError{group}
	}
	if len(topics) > 0 {
		var names []string
		for t := range topics {
			names = append(names, t)
		}
		starts, err1 := adm.ListStartOffsets(ctx, names...)
		ends, err2 := adm.ListCommittedOffsets(ctx, names...)
		if err := errors.Join(err1, err2); err != nil && len(ends) == 0 {
			return nil, err
		}
		for k, p := range at {
			start, ok1 := starts.Lookup(k.topic, k.partition)
			end, ok2 := ends.Lookup(k.topic, k.partition)
			p.Start, p.End, p.Lag, p.Undone = -1, -1, -1, -1
			if ok1 && ok2 && start.Err == nil && end.Err == nil {
				from := max(p.Committed, start.Offset) // nothing committed: it begins somewhere above the start
				p.Start, p.End, p.Lag = start.Offset, end.Offset, max(0, end.Offset-from)
				p.Undone = max(0, p.Lag-p.DoneAhead)
			}
			at[k] = p
		}
	}
	for _, p := range at {
		r.Partitions = append(r.Partitions, p)
	}
	slices.SortFunc(r.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return r, nil
}

type key struct {
	topic     string
	partition int32
}

// describe fills in the members, of either group protocol.
func (r *Report) describe(ctx context.Context, adm *kadm.Client, owners map[key]string) error {
	groups, err := adm.DescribeGroups(ctx, r.Group)
	if err != nil {
		return refused(r.Group, "Describe", err)
	}
	g := groups[r.Group]
	if g.Err == nil && (len(g.Members) > 0 || g.State != "Dead") {
		r.State = g.State
		for _, m := range g.Members {
			out := Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
			if m.InstanceID != nil {
				out.InstanceID = *m.InstanceID
			}
			if c, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range c.Topics {
					for _, p := range t.Partitions {
						owners[key{t.Topic, p}] = m.MemberID
						out.Partitions++
					}
				}
			}
			r.Members = append(r.Members, out)
		}
		return nil
	}
	if errors.Is(g.Err, kerr.GroupAuthorizationFailed) {
		return refused(r.Group, "Describe", g.Err)
	}
	// One whose partitions the broker assigns (KIP-848), or none.
	r.State = "Dead"
	consumer, err := adm.DescribeConsumerGroups(ctx, r.Group)
	if c, ok := consumer[r.Group]; err == nil && ok && c.Err == nil {
		r.State = c.State
		for _, m := range c.Members {
			out := Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
			if m.InstanceID != nil {
				out.InstanceID = *m.InstanceID
			}
			for t, ps := range m.Assignment {
				for p := range ps {
					owners[key{t, p}] = m.MemberID
					out.Partitions++
				}
			}
			r.Members = append(r.Members, out)
		}
	}
	return nil
}

func refused(group, operation string, err error) error {
	if errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return &orderly.AccessError{Resource: "group", Name: group, Operation: operation, Err: err}
	}
	return fmt.Errorf("group %s: %w", group, err)
}

// decoded adds what the commit's metadata says.
func decoded(p Partition, text string) Partition {
	p.Metadata = "ok"
	if text == "" {
		p.Metadata = "none"
		return p
	}
	m, err := progress.Decode(p.Committed, text)
	var moved *progress.MovedError
	switch {
	case errors.Is(err, progress.ErrForeign):
		p.Metadata = "foreign"
		return p
	case errors.As(err, &moved):
		p.Metadata = "moved"
	case err != nil:
		p.Metadata = "unreadable"
		return p
	}
	p.FencingToken, p.Clean, p.Unclean = m.Token, m.Clean, m.Unclean
	for _, run := range m.Ahead {
		p.DoneAhead += run.To - run.From
	}
	p.Failed = len(m.Attempts)
	for _, a := range m.Attempts {
		p.Attempts += a.Count
	}
	return p
}
