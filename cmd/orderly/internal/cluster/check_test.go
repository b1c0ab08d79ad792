package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/twmb/franz-go/pkg/kerr"
)

var now = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

// sound is a cluster that nothing is wrong with.
func sound() *Facts {
	f := &Facts{Now: now, Window: time.Hour, Features: map[string]Feature{"transaction.version": {2, 2}, "eligible.leader.replicas.version": {1, 1}}, failed: map[string]error{}}
	for id := int32(1); id <= 3; id++ {
		f.Brokers = append(f.Brokers, Broker{ID: id, Version: "v4.1", Settings: map[string]Setting{
			"min.insync.replicas": {Value: "2", Wide: true}, "default.replication.factor": {Value: "3"}, "auto.create.topics.enable": {Value: "false"},
			"transaction.max.timeout.ms": {Value: "900000"},
		}})
	}
	part := func(id int32) Partition {
		return Partition{ID: id, Leader: 1 + id, Replicas: []int32{1 + id, 2 - id, 3}, ISR: []int32{1, 2, 3}, Start: 100, Stable: 200, End: 200, listed: true}
	}
	f.Topics = []Topic{{Name: "__consumer_offsets", Internal: true, Partitions: []Partition{part(0)}}, {Name: "orders", Partitions: []Partition{part(0), part(1)},
		Settings: map[string]Setting{"min.insync.replicas": {Value: "2"}, "unclean.leader.election.enable": {Value: "false"}, "cleanup.policy": {Value: "delete"}, "retention.ms": {Value: "604800000"}}}}
	f.Groups = []Group{{Name: "billing", Type: "classic", State: "Stable", Assignor: "cooperative-sticky", Members: []Member{{InstanceID: "billing-0", Topics: []string{"orders"}}},
		Commits: []Commit{{Topic: "orders", Partition: 0, Offset: 150, Next: now.Add(-time.Hour)}, {Topic: "orders", Partition: 1, Offset: 200}}}}
	f.Producers = []Producer{{Topic: "orders", ID: 7, Last: now.Add(-time.Minute), TxnStart: 180}, {Topic: "orders", ID: 6, Last: now.Add(-2 * time.Hour), TxnStart: -1}}
	return f
}

// Each rule finds its fault, and nothing in what is nearly one.
func TestRulesOfClusters(t *testing.T) {
	orders := func(f *Facts) *Topic { return &f.Topics[1] }
	for _, c := range []struct {
		what string
		do   func(f *Facts)
		want string
	}{
		{"nothing", func(*Facts) {}, ""},
		{"two replicas", func(f *Facts) { orders(f).Partitions[1].Replicas = []int32{1, 2}; orders(f).Partitions[1].Leader = 1 }, "B01 warn, B03 warn"},
		{"min.isr 1", func(f *Facts) { orders(f).Settings["min.insync.replicas"] = Setting{Value: "1"} }, "B02 error"},
		{"min.isr as many as replicas", func(f *Facts) { orders(f).Settings["min.insync.replicas"] = Setting{Value: "3"} }, "B03 warn"},
		{"unclean election", func(f *Facts) { orders(f).Settings["unclean.leader.election.enable"] = Setting{Value: "true"} }, "B05 error"},
		{"compacted", func(f *Facts) { orders(f).Settings["cleanup.policy"] = Setting{Value: "compact"} }, "B12 warn"},
		{"min.isr of brokers", func(f *Facts) { f.Brokers[0].Settings["min.insync.replicas"] = Setting{Value: "2", File: true} }, "B06 error"},
		{"min.isr of brokers, and of the cluster", func(f *Facts) {
			f.Brokers[0].Settings["min.insync.replicas"] = Setting{Value: "2", File: true, Wide: true}
		}, ""},
		{"min.isr of brokers, without ELR", func(f *Facts) {
			f.Brokers[0].Settings["min.insync.replicas"] = Setting{Value: "2", File: true}
			f.Features["eligible.leader.replicas.version"] = Feature{0, 1}
		}, ""},
		{"a replica out of sync", func(f *Facts) { orders(f).Partitions[0].ISR = []int32{1, 2} }, "B07 warn"},
		{"no leader", func(f *Facts) { orders(f).Partitions[0].Leader = -1 }, "B07 warn"},
		{"another leader", func(f *Facts) { orders(f).Partitions[0].Leader = 3 }, "B07 note"},
		{"an old broker", func(f *Facts) { f.Brokers[2].Version = "v2.4" }, "B08 warn"},
		{"producers forgotten soon", func(f *Facts) { f.Brokers[0].Settings["producer.id.expiration.ms"] = Setting{Value: "60000"} }, "B10 warn"},
		{"topics make themselves", func(f *Facts) {
			for _, b := range f.Brokers {
				b.Settings["auto.create.topics.enable"] = Setting{Value: "true"}
			}
		}, "B13 warn"},
		{"transactions not finalised", func(f *Facts) { f.Features["transaction.version"] = Feature{1, 2} }, "B14 warn"},
		{"brokers without the feature", func(f *Facts) { delete(f.Features, "transaction.version") }, ""},
		{"offsets with one replica", func(f *Facts) { f.Topics[0].Partitions[0].Replicas = []int32{1} }, "B16 error"},
		{"brokers disagree", func(f *Facts) { f.Brokers[1].Settings["auto.create.topics.enable"] = Setting{Value: "true"} }, "B13 warn, B17 warn"},
		{"unread and deleted", func(f *Facts) { f.Groups[0].Commits[0].Offset = 99 }, "B11 error"},
		{"at the start of the log", func(f *Facts) { f.Groups[0].Commits[0].Offset = 100 }, ""},
		{"soon deleted", func(f *Facts) { f.Groups[0].Commits[0].Next = now.Add(-6 * 24 * time.Hour) }, "B11 warn"},
		{"old, but kept", func(f *Facts) { f.Groups[0].Commits[0].Next = now.Add(-5 * 24 * time.Hour) }, ""},
		{"old, and kept for ever", func(f *Facts) {
			f.Groups[0].Commits[0].Next = now.Add(-6000 * time.Hour)
			orders(f).Settings["retention.ms"] = Setting{Value: "-1"}
		}, ""},
		{"beyond the end", func(f *Facts) { f.Groups[0].Commits[1].Offset = 201 }, "L07 error"},
		{"a random instance id", func(f *Facts) { f.Groups[0].Members[0].InstanceID = "app-550e8400-e29b-41d4-a716-446655440000" }, "C10 warn"},
		{"a share group", func(f *Facts) {
			f.Groups = append(f.Groups, Group{Name: "s", Type: "share", Members: []Member{{Topics: []string{"orders"}}}})
		}, "C11 warn"},
		{"a share group on a topic that was named", func(f *Facts) {
			f.Named = true
			f.Groups = append(f.Groups, Group{Name: "s", Type: "share", Members: []Member{{Topics: []string{"orders"}}}})
		}, "C11 error"},
		{"a share group elsewhere", func(f *Facts) {
			f.Groups = append(f.Groups, Group{Name: "s", Type: "share", Members: []Member{{Topics: []string{"jobs"}}}})
		}, ""},
		{"two producers at a time", func(f *Facts) { f.Producers[1].Last = now }, "L03 note"},
		{"a hanging transaction", func(f *Facts) { f.Producers[0].Last = now.Add(-20 * time.Minute) }, "T06 error"},
	} {
		f := sound()
		c.do(f)
		r := Check(f)
		var got []string
		for _, x := range r.Findings {
			got = append(got, x.Rule+" "+x.Severity)
			if x.Fix == "" || x.Why == "" || x.What == "" {
				t.Errorf("%s: %s has no text: %+v", c.what, x.Rule, x)
			}
		}
		slices.Sort(got)
		if s := strings.Join(slices.Compact(got), ", "); s != c.want {
			t.Errorf("%s: %q, want %q", c.what, s, c.want)
		}
	}
}

// What an API refused is listed with the right that is missing, and not as checked.
func TestWhatWasRefusedIsListed(t *testing.T) {
	for api, ids := range map[string][]string{
		apiConfigsBroker: {"B06", "B10", "B13", "B17"}, apiConfigsTopic: {"B02", "B03", "B05", "B11", "B12"}, apiVersions: {"B06", "B08", "B14"},
		apiOffsets: {"B11", "L07"}, apiGroups: {"B11", "C10", "C11", "L07"}, apiDescribe: {"C10", "C11"}, apiCommits: {"B11", "L07"},
		apiProducers: {"L03", "T06"}, apiRecords: {"B11"},
	} {
		for err, words := range map[error]string{kerr.TopicAuthorizationFailed: "may not use " + api, kerr.UnsupportedVersion: "do not have " + api, errors.New("boom"): "boom"} {
			f := sound()
			f.failed[api] = err
			r := Check(f)
			for _, id := range ids {
				i := slices.IndexFunc(r.NotChecked, func(u finding.Unchecked) bool {
					return u.Rule == id && (strings.Contains(u.Why, words) || api == apiVersions)
				})
				if i < 0 || slices.Contains(r.Checked, id) {
					t.Errorf("%s: %v: %s: checked %v, not checked %v", api, err, id, r.Checked, r.NotChecked)
				}
			}
		}
	}
}
