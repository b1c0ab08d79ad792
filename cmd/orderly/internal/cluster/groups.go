package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groups asks for the groups of each type; brokers before 4.0 know one type.
func (c *collector) groups(ctx context.Context) {
	typeOf := map[string]string{}
	for _, kind := range []string{"classic", "consumer", "share"} {
		listed, err := c.adm.ListGroupsByType(ctx, []string{kind})
		if err != nil && kind == "classic" {
			listed, err = c.adm.ListGroups(ctx)
		} else if errors.Is(err, kerr.UnsupportedVersion) || err != nil && kind == "share" {
			continue // there are none
		}
		c.fail(apiGroups, err)
		for name, g := range listed {
			if typeOf[name] == "" && (len(c.o.Groups) == 0 || slices.Contains(c.o.Groups, name)) && (g.ProtocolType == "consumer" || g.ProtocolType == "" || kind != "classic") {
				typeOf[name] = kind
			}
		}
	}
	byType := map[string][]string{}
	for name, kind := range typeOf {
		byType[kind] = append(byType[kind], name)
	}
	for _, name := range c.o.Groups {
		if typeOf[name] == "" {
			c.fail(apiGroups, errors.New("there is no group "+name+", or this user may not see it"))
		}
	}
	c.classic(ctx, byType["classic"])
	c.modern(ctx, byType["consumer"])
	c.share(ctx, byType["share"])
	slices.SortFunc(c.f.Groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
}

func (c *collector) classic(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	all, err := c.adm.DescribeGroups(ctx, names...)
	c.fail(apiDescribe, err)
	for _, d := range all {
		c.fail(apiDescribe, d.Err)
		g := Group{Name: d.Group, Type: "classic", State: d.State, Assignor: d.Protocol}
		for _, m := range d.Members {
			out := Member{ClientID: m.ClientID, Host: m.ClientHost}
			if m.InstanceID != nil {
				out.InstanceID = *m.InstanceID
			}
			if j, ok := m.Join.AsConsumer(); ok {
				out.Topics = j.Topics
			}
			g.Members = append(g.Members, out)
		}
		c.f.Groups = append(c.f.Groups, g)
	}
}

func (c *collector) modern(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	all, err := c.adm.DescribeConsumerGroups(ctx, names...)
	c.fail(apiDescribe, err)
	for _, d := range all {
		c.fail(apiDescribe, d.Err)
		g := Group{Name: d.Group, Type: "consumer", State: d.State, Assignor: d.AssignorName}
		for _, m := range d.Members {
			out := Member{ClientID: m.ClientID, Host: m.ClientHost, Topics: m.SubscribedTopics}
			if m.InstanceID != nil {
				out.InstanceID = *m.InstanceID
			}
			g.Members = append(g.Members, out)
		}
		c.f.Groups = append(c.f.Groups, g)
	}
}

func (c *collector) share(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	all, err := c.adm.DescribeShareGroups(ctx, names...)
	c.fail(apiDescribe, err)
	for _, d := range all {
		c.fail(apiDescribe, d.Err)
		g := Group{Name: d.GroupID, Type: "share", State: d.GroupState, Assignor: d.Assignor}
		for _, m := range d.Members {
			g.Members = append(g.Members, Member{ClientID: m.ClientID, Host: m.ClientHost, Topics: m.SubscribedTopicNames})
		}
		c.f.Groups = append(c.f.Groups, g)
	}
}

// commits asks what the groups have committed in the topics.
func (c *collector) commits(ctx context.Context) {
	var names []string
	for _, g := range c.f.Groups {
		if g.Type != "share" {
			names = append(names, g.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	for name, r := range c.adm.FetchManyOffsets(ctx, names...) {
		c.fail(apiCommits, r.Err)
		i := slices.IndexFunc(c.f.Groups, func(g Group) bool { return g.Name == name })
		r.Fetched.Each(func(o kadm.OffsetResponse) {
			c.fail(apiCommits, o.Err)
			if t := c.topic(o.Topic); o.Err == nil && o.At >= 0 && t != nil && !t.Internal {
				c.f.Groups[i].Commits = append(c.f.Groups[i].Commits, Commit{Topic: o.Topic, Partition: o.Partition, Offset: o.At})
			}
		})
		slices.SortFunc(c.f.Groups[i].Commits, func(a, b Commit) int {
			if d := strings.Compare(a.Topic, b.Topic); d != 0 {
				return d
			}
			return int(a.Partition - b.Partition)
		})
	}
}

// mostAges bounds how many records are looked at, one for each commit that lags.
const mostAges = 500

// ages looks at the first record that each group has not read: its age against the
// retention is how much time is left.
func (c *collector) ages(ctx context.Context) {
	sources := map[string]*logread.Source{}
	n := 0
	for i := range c.f.Groups {
		for j := range c.f.Groups[i].Commits {
			k := &c.f.Groups[i].Commits[j]
			p := c.partition(k.Topic, k.Partition)
			if p == nil || !p.listed || k.Offset < p.Start || k.Offset >= p.End {
				continue
			}
			if n++; n > mostAges {
				c.fail(apiRecords, errors.New("only the first commits that lag were looked at"))
				return
			}
			src := sources[k.Topic]
			if src == nil {
				var err error
				if src, err = logread.Open(ctx, c.cl, k.Topic); err != nil {
					c.fail(apiRecords, err)
					continue
				}
				sources[k.Topic] = src
			}
			chunk, err := src.Fetch(ctx, k.Partition, k.Offset, 1, false)
			if err == nil {
				err = chunk.Batches(func(b wire.Batch) {
					if k.Next.IsZero() {
						k.Next = b.MaxTime
					}
				})
			}
			if !errors.As(err, new(*logread.GoneError)) {
				c.fail(apiRecords, err)
			}
		}
	}
}
