package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/twmb/franz-go/pkg/kerr"
)

const shown = 10

// A Report is what was found, and what there is.
type Report struct {
	Version  int                `json:"format"`
	Brokers  map[string]string  `json:"brokers"`  // id: a guess of the version
	Features map[string][]int16 `json:"features"` // level that is in force, and the highest
	Topics   []TopicLine        `json:"topics"`
	Groups   []GroupLine        `json:"groups"`
	finding.Report
}

// A TopicLine is a topic in short.
type TopicLine struct {
	Topic        string `json:"topic"`
	Partitions   int    `json:"partitions"`
	Replicas     int    `json:"replicas"`
	MinISR       string `json:"min_insync_replicas"`
	OutOfSync    int    `json:"partitions_out_of_sync"`
	Eligible     int    `json:"partitions_with_elr"`
	Producers    int    `json:"producers"` // that its leaders remember
	Transactions int    `json:"open_transactions"`
	Policy       string `json:"cleanup_policy"`
}

// A GroupLine is a group in short.
type GroupLine struct {
	Group     string   `json:"group"`
	Type      string   `json:"type"`
	State     string   `json:"state"`
	Assignor  string   `json:"assignor"`
	Members   int      `json:"members"`
	Instances []string `json:"instance_ids"`
	Lag       int64    `json:"lag"`
}

type check struct {
	f *Facts
	r *Report
}

// Check judges what the cluster said.
func Check(f *Facts) *Report {
	c := &check{f, &Report{Version: 1, Brokers: map[string]string{}, Features: map[string][]int16{}, Topics: []TopicLine{}, Groups: []GroupLine{}}}
	c.lines()
	c.settings()
	c.replicas()
	c.features()
	c.producers()
	c.groups()
	c.lag()
	c.embedded()
	c.r.Unseen = append(c.r.Unseen, "configurations of producers and consumers: orderly doctor config reads those; what is written: orderly doctor log and orderly audit",
		"whether brokers share a disk, a rack or a power supply")
	c.r.Finish()
	return c.r
}

func (c *check) lines() {
	for _, b := range c.f.Brokers {
		c.r.Brokers[strconv.Itoa(int(b.ID))] = b.Version
	}
	for name, f := range c.f.Features {
		c.r.Features[name] = []int16{f.Level, f.Most}
	}
	for _, t := range c.f.Topics {
		l := TopicLine{Topic: t.Name, Partitions: len(t.Partitions), Replicas: fewest(t), MinISR: t.Settings["min.insync.replicas"].Value, Policy: t.Settings["cleanup.policy"].Value}
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				l.OutOfSync++
			}
			if len(p.ELR) > 0 {
				l.Eligible++
			}
		}
		ids := map[int64]bool{}
		for _, p := range c.f.Producers {
			if p.Topic == t.Name {
				ids[p.ID] = true
				if p.TxnStart >= 0 {
					l.Transactions++
				}
			}
		}
		l.Producers = len(ids)
		c.r.Topics = append(c.r.Topics, l)
	}
	for _, g := range c.f.Groups {
		l := GroupLine{Group: g.Name, Type: g.Type, State: g.State, Assignor: g.Assignor, Members: len(g.Members), Instances: []string{}}
		for _, m := range g.Members {
			if m.InstanceID != "" {
				l.Instances = append(l.Instances, m.InstanceID)
			}
		}
		for _, k := range g.Commits {
			if p := c.partition(k.Topic, k.Partition); p != nil && p.listed {
				l.Lag += max(0, p.End-k.Offset)
			}
		}
		c.r.Groups = append(c.r.Groups, l)
	}
}

func fewest(t Topic) int {
	n := 0
	for i, p := range t.Partitions {
		if i == 0 || len(p.Replicas) < n {
			n = len(p.Replicas)
		}
	}
	return n
}

func (c *check) partition(topic string, id int32) *Partition {
	for i := range c.f.Topics {
		if c.f.Topics[i].Name == topic {
			for j := range c.f.Topics[i].Partitions {
				if c.f.Topics[i].Partitions[j].ID == id {
					return &c.f.Topics[i].Partitions[j]
				}
			}
		}
	}
	return nil
}

// can says whether an API answered; the rules that need it are told when not.
func (c *check) can(api string, ids ...string) bool {
	err := c.f.failed[api]
	if err == nil {
		c.r.Checks(ids...)
		return true
	}
	why := fmt.Sprintf("%s failed: %v", api, err)
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		why = "this user may not use " + api
	case errors.Is(err, kerr.UnsupportedVersion):
		why = "the brokers do not have " + api
	}
	c.r.Cannot(why, ids...)
	return false
}

// settings hands brokers and topics to the rules that read settings.
func (c *check) settings() {
	set := &facts.Set{Has: map[facts.Source]bool{facts.Cluster: true, facts.Version: true}}
	onBrokers, onTopics := []string{"B10", "B13", "B17"}, []string{"B02", "B03", "B05", "B12"}
	c.can(apiConfigsBroker, onBrokers...)
	for _, b := range c.f.Brokers {
		u := facts.NewUnit(facts.Broker, facts.Unknown, facts.Place{Name: fmt.Sprintf("broker %d", b.ID)})
		u.Name = strconv.Itoa(int(b.ID))
		put(u, b.Settings, "min.insync.replicas", "default.replication.factor", "unclean.leader.election.enable", "auto.create.topics.enable",
			"offsets.topic.replication.factor", "transaction.state.log.replication.factor", "transaction.state.log.min.isr", "producer.id.expiration.ms",
			"log.cleanup.policy", "log.cleaner.min.compaction.lag.ms", "zookeeper.metadata.migration.enable")
		u.Partial = b.Settings == nil
		if v, ok := facts.ParseVer(b.Version); ok {
			v[2] = 99 // brokers tell no patch version
			u.Versions, u.VersionOf = []facts.Ver{v}, "the requests that it knows"
		}
		set.Units = append(set.Units, u)
	}
	c.can(apiConfigsTopic, onTopics...)
	if c.can(apiVersions, "B08") {
		for _, b := range c.f.Brokers {
			if strings.HasPrefix(b.Version, "v3.6") {
				c.r.Cannot("brokers tell no patch version: whether it is 3.6.0 is not known", "B15", "B09")
				break
			}
		}
	}
	for _, t := range c.f.Topics {
		u := facts.NewUnit(facts.Topic, facts.Unknown, facts.Place{Name: "topic " + t.Name})
		u.Name = t.Name
		if !t.Internal {
			put(u, t.Settings, "min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy", "min.compaction.lag.ms")
		}
		if v, ok := u.Set["min.compaction.lag.ms"]; ok && v.Text == "0" {
			delete(u.Set, "min.compaction.lag.ms")
		}
		if n := fewest(t); n > 0 && !t.Internal {
			u.Set["replication.factor"] = facts.Value{Text: strconv.Itoa(n), Written: "replication.factor", Place: facts.Place{Name: u.Place.Name}}
		}
		if t.Internal && fewest(t) < 3 {
			c.r.Add(finding.Finding{Rule: "B16", Severity: finding.Error, What: t.Name + " has " + plural.Of(fewest(t), "replica"), Where: []string{"topic " + t.Name}})
		}
		set.Units = append(set.Units, u)
	}
	c.r.Checks("B01", "B16")
	c.byRule(rules.Run(set).Findings)
}

// byRule makes one finding of each rule, so that a hundred topics are not a hundred
// findings. Of brokers only those rules speak that say nothing of single topics.
func (c *check) byRule(all []rules.Finding) {
	type at struct{ rule, severity, what string }
	where := map[at][]string{}
	var order []at
	for _, f := range all {
		k := at{f.Rule.ID, string(f.Severity), f.What}
		if where[k] == nil {
			order = append(order, k)
		}
		for _, e := range f.Where {
			line := e.Place.String()
			if e.Text != "" {
				line += ": " + e.Text
			}
			where[k] = append(where[k], line)
		}
	}
	for _, k := range order {
		lines := slices.Compact(where[k])
		if len(lines) > shown {
			lines = append(lines[:shown:shown], fmt.Sprintf("and %d more", len(lines)-shown))
		}
		c.r.Add(finding.Finding{Rule: k.rule, Severity: k.severity, What: k.what, Where: lines})
	}
}

func put(u *facts.Unit, from map[string]Setting, names ...string) {
	for _, n := range names {
		if s, ok := from[n]; ok && s.Value != "" {
			u.Set[n] = facts.Value{Text: s.Value, Written: n, Place: u.Place}
		}
	}
}

func (c *check) replicas() {
	c.r.Checks("B07")
	if err := c.f.failed[apiELR]; err != nil {
		c.r.Unseen = append(c.r.Unseen, fmt.Sprintf("eligible leader replicas: %s: %v", apiELR, err))
	}
	var missing, moved []string
	for _, t := range c.f.Topics {
		for _, p := range t.Partitions {
			at := fmt.Sprintf("topic %s partition %d: replicas %v, in sync %v", t.Name, p.ID, p.Replicas, p.ISR)
			if len(p.ELR) > 0 {
				at += fmt.Sprintf(", eligible %v", p.ELR)
			}
			switch {
			case len(p.ISR) < len(p.Replicas) || len(p.Offline) > 0 || p.Leader < 0:
				missing = append(missing, at)
			case len(p.Replicas) > 0 && p.Leader != p.Replicas[0]:
				moved = append(moved, fmt.Sprintf("%s, leader %d", at, p.Leader))
			}
		}
	}
	if len(missing) > 0 {
		c.r.Add(finding.Finding{Rule: "B07", Severity: finding.Warn, What: plural.Of(len(missing), "partition") + plural.Verb(len(missing), " has", " have") + " replicas that are not in sync, or no leader", Where: cut(missing)})
	}
	if len(moved) > 0 {
		c.r.Add(finding.Finding{Rule: "B07", Severity: finding.Note, What: plural.Of(len(moved), "partition") + plural.Verb(len(moved), " is", " are") + " led by a replica that is not the preferred one", Where: cut(moved)})
	}
}

func cut(lines []string) []string {
	if len(lines) > shown {
		return append(lines[:shown:shown], fmt.Sprintf("and %d more", len(lines)-shown))
	}
	return lines
}

func (c *check) features() {
	if !c.can(apiVersions, "B14") {
		c.r.Cannot("ApiVersions failed", "B06")
		return
	}
	if f, ok := c.f.Features["transaction.version"]; ok && f.Level < 2 && f.Most >= 2 {
		c.r.Add(finding.Finding{Rule: "B14", Severity: finding.Warn, What: fmt.Sprintf("transaction.version is %d, and these brokers have %d", f.Level, f.Most)})
	}
	elr := c.f.Features["eligible.leader.replicas.version"].Level >= 1
	if !elr {
		c.r.Checks("B06")
		return
	}
	if !c.can(apiConfigsBroker, "B06") {
		return
	}
	var at []string
	for _, b := range c.f.Brokers {
		if s := b.Settings["min.insync.replicas"]; s.File && !s.Wide {
			at = append(at, fmt.Sprintf("broker %d: min.insync.replicas=%s of this broker alone; topics without their own have 1", b.ID, s.Value))
		}
	}
	if len(at) > 0 {
		c.r.Add(finding.Finding{Rule: "B06", Severity: finding.Error, What: "eligible leader replicas are on, and min.insync.replicas is set for single brokers, where it no longer counts", Where: cut(at)})
	}
}

func (c *check) producers() {
	if !c.can(apiProducers, "L03", "T06") {
		return
	}
	longest := 15 * time.Minute // transaction.max.timeout.ms of Kafka
	for _, b := range c.f.Brokers {
		if ms, err := strconv.ParseInt(b.Settings["transaction.max.timeout.ms"].Value, 10, 64); err == nil {
			longest = max(longest, time.Duration(ms)*time.Millisecond)
		}
	}
	var hanging []string
	type tp struct {
		t string
		p int32
	}
	active := map[tp]int{}
	for _, p := range c.f.Producers {
		idle := c.f.Now.Sub(p.Last)
		if idle <= c.f.Window {
			active[tp{p.Topic, p.Partition}]++
		}
		if p.TxnStart >= 0 && idle > longest {
			at := fmt.Sprintf("topic %s partition %d: producer %d epoch %d, open since offset %d, last wrote %s", p.Topic, p.Partition, p.ID, p.Epoch, p.TxnStart, p.Last.UTC().Format(time.RFC3339))
			if q := c.partition(p.Topic, p.Partition); q != nil && q.listed {
				at += fmt.Sprintf("; %d offsets wait behind it", q.End-q.Stable)
			}
			hanging = append(hanging, at)
		}
	}
	if len(hanging) > 0 {
		c.r.Add(finding.Finding{Rule: "T06", Severity: finding.Error, What: fmt.Sprintf("%s open for longer than the brokers allow (%s): readers with read_committed stand still there", plural.Of(len(hanging), "transaction")+plural.Verb(len(hanging), " is", " are"), longest), Where: cut(hanging)})
	}
	byTopic := map[string]int{}
	for at, n := range active {
		if n > 1 {
			byTopic[at.t]++
		}
	}
	var several []string
	for _, t := range slices.Sorted(maps.Keys(byTopic)) {
		several = append(several, fmt.Sprintf("topic %s: %s", t, plural.Of(byTopic[t], "partition")))
	}
	if len(several) > 0 {
		c.r.Add(finding.Finding{Rule: "L03", Severity: finding.Note, What: fmt.Sprintf("partitions have more than one producer that wrote within %s; \"orderly doctor log\" shows whether they write the same keys", c.f.Window), Where: cut(several)})
	}
}

// embeddedVersion stands where a version of Kafka would.
const embeddedVersion = "embedded"

// ofData are the rules of brokers that also hold for an embedded one.
var ofData = []string{"B11", "B12"}

// embedded takes back what was said of the brokers, where there is only the embedded
// one: a single process with one copy of everything, made to try things out.
func (c *check) embedded() {
	if !c.f.Embedded {
		return
	}
	ofBrokers := func(id string) bool { return strings.HasPrefix(id, "B") && !slices.Contains(ofData, id) }
	var ids []string
	for _, r := range rules.All() {
		if ofBrokers(r.ID) {
			ids = append(ids, r.ID)
		}
	}
	c.r.Findings = slices.DeleteFunc(c.r.Findings, func(f finding.Finding) bool { return ofBrokers(f.Rule) })
	c.r.NotChecked = slices.DeleteFunc(c.r.NotChecked, func(u finding.Unchecked) bool { return ofBrokers(u.Rule) })
	c.r.Cannot("this is the embedded broker of orderly, one process with one copy of everything: rules of brokers do not apply", ids...)
}
