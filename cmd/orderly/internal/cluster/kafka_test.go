package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func connect(t *testing.T, addrs []string, opts ...kgo.Opt) (*kgo.Client, *kadm.Client) {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl, kadm.NewClient(cl)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// On real Kafka: a topic with unsafe settings, a group whose unread records were
// deleted, another one beyond the end, a transaction that stays open.
func TestARealCluster(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) {
		return
	}
	addrs := kafkatest.Shared()
	if addrs == nil {
		c, err := kafkatest.Start(t.Context(), kafkatest.Options{})
		must(t, err)
		defer c.Close()
		addrs = c.Addrs()
	}
	ctx := t.Context()
	cl, adm := connect(t, addrs)
	topic, behind, beyond := kafkatest.Name(t, "cluster"), kafkatest.Name(t, "behind"), kafkatest.Name(t, "beyond")
	yes, short := "true", "3600000"
	_, err := adm.CreateTopic(ctx, 2, 1, map[string]*string{"unclean.leader.election.enable": &yes, "retention.ms": &short}, topic)
	must(t, err)
	for i := range 10 {
		must(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 0, Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)}).FirstErr())
	}
	ends, err := adm.ListEndOffsets(ctx, topic)
	must(t, err)
	full := int32(0)
	if o, _ := ends.Lookup(topic, 1); o.Offset > 0 {
		full = 1
	}
	commit := func(group string, at int64) {
		os := kadm.Offsets{}
		os.AddOffset(topic, full, at, -1)
		resp, err := adm.CommitOffsets(ctx, group, os)
		must(t, err, resp.Error())
	}
	commit(behind, 3)
	commit(beyond, 50)
	lagging := kafkatest.Name(t, "lagging")
	commit(lagging, 8)
	cut := kadm.Offsets{}
	cut.AddOffset(topic, full, 5, -1)
	_, err = adm.DeleteRecords(ctx, cut)
	must(t, err)
	txn, _ := connect(t, addrs, kgo.TransactionalID(topic), kgo.TransactionTimeout(10*time.Minute))
	must(t, txn.BeginTransaction())
	must(t, txn.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("open")}).FirstErr())
	defer func() {
		must(t, txn.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort))
	}()

	look := func(now time.Time) *Report {
		f, err := Collect(ctx, cl, Options{Topics: []string{topic}, Groups: []string{behind, beyond, lagging}, Now: now, Window: time.Hour})
		must(t, err)
		if len(f.failed) > 0 {
			t.Errorf("failed: %v", f.failed)
		}
		return Check(f)
	}
	has := func(r *Report, rule string, severity, words string) bool {
		for _, f := range r.Findings {
			if f.Rule == rule && f.Severity == severity && strings.Contains(f.What+strings.Join(f.Where, "\n"), words) {
				return true
			}
		}
		return false
	}
	r := look(time.Now())
	for _, w := range [][3]string{{"B05", "error", topic}, {"B01", "error", topic}, {"B11", "error", behind}, {"L07", "error", beyond}} {
		if !has(r, w[0], w[1], w[2]) {
			t.Errorf("no %v", w)
		}
	}
	if has(r, "T06", "error", "") || has(r, "B11", "warn", "") {
		t.Error("too early for T06, or for B11 of a group that is not late")
	}
	// An hour later the transaction hangs, and what the third group has not read goes.
	later := look(time.Now().Add(59 * time.Minute))
	if !has(later, "T06", "error", fmt.Sprintf("partition %d", full)) || !has(later, "B11", "warn", lagging) {
		t.Error("no T06, or no B11 for what is deleted soon")
	}
	i := slices.IndexFunc(r.Topics, func(l TopicLine) bool { return l.Topic == topic })
	if i < 0 || r.Topics[i].Transactions != 1 || r.Topics[i].Producers != 2 || r.Topics[i].Partitions != 2 {
		t.Errorf("%+v", r.Topics)
	}
	if len(r.Groups) != 3 || r.Features["transaction.version"][0] < 2 {
		t.Errorf("%+v, %v", r.Groups, r.Features)
	}
	if t.Failed() {
		_ = r.Write(t.Output())
	}
}

// A user who may do next to nothing gets what can be told, and the rest is named.
func TestARefusedUser(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	must(t, err)
	defer c.Close()
	const refused = 29 // TOPIC_AUTHORIZATION_FAILED
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			one := kmsg.NewDescribeConfigsResponseResource()
			one.ResourceType, one.ResourceName, one.ErrorCode = r.ResourceType, r.ResourceName, refused
			resp.Resources = append(resp.Resources, one)
		}
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.DescribeProducers), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, rt := range req.(*kmsg.DescribeProducersRequest).Topics {
			ot := kmsg.NewDescribeProducersResponseTopic()
			ot.Topic = rt.Topic
			for _, p := range rt.Partitions {
				op := kmsg.NewDescribeProducersResponseTopicPartition()
				op.Partition, op.ErrorCode = p, refused
				ot.Partitions = append(ot.Partitions, op)
			}
			resp.Topics = append(resp.Topics, ot)
		}
		return resp, nil, true
	})
	cl, _ := connect(t, c.ListenAddrs())
	f, err := Collect(t.Context(), cl, Options{Now: time.Now(), Window: time.Hour})
	must(t, err)
	r := Check(f)
	for _, id := range []string{"B02", "B05", "B13", "L03", "T06"} {
		i := slices.IndexFunc(r.NotChecked, func(u finding.Unchecked) bool {
			return u.Rule == id && strings.Contains(u.Why, "this user may not use")
		})
		if i < 0 || slices.Contains(r.Checked, id) {
			t.Errorf("%s: checked %v, not checked %v", id, r.Checked, r.NotChecked)
		}
	}
	if !slices.Contains(r.Checked, "B01") || !slices.Contains(r.Checked, "L07") {
		t.Errorf("checked %v", r.Checked)
	}
}
