package logcheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/logread"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refuse lets a cluster answer a request with one error.
func refuse(c *kfake.Cluster, key kmsg.Key, answer func(req kmsg.Request, resp kmsg.Response)) {
	c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind()
		answer(req, resp)
		return resp, nil, true
	})
}

// A user without DescribeConfigs, or whose brokers do not have DescribeProducers,
// gets the other rules, and is told of those that need them.
func TestRulesThatNeedARefusedAPIAreNotChecked(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refuse(c, kmsg.DescribeConfigs, func(req kmsg.Request, resp kmsg.Response) {
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			one := kmsg.NewDescribeConfigsResponseResource()
			one.ResourceType, one.ResourceName, one.ErrorCode = r.ResourceType, r.ResourceName, kerr.TopicAuthorizationFailed.Code
			resp.(*kmsg.DescribeConfigsResponse).Resources = append(resp.(*kmsg.DescribeConfigsResponse).Resources, one)
		}
	})
	refuse(c, kmsg.DescribeProducers, func(req kmsg.Request, resp kmsg.Response) {
		for _, r := range req.(*kmsg.DescribeProducersRequest).Topics {
			topic := kmsg.NewDescribeProducersResponseTopic()
			topic.Topic = r.Topic
			for _, p := range r.Partitions {
				one := kmsg.NewDescribeProducersResponseTopicPartition()
				one.Partition, one.ErrorCode = p, kerr.TopicAuthorizationFailed.Code
				topic.Partitions = append(topic.Partitions, one)
			}
			resp.(*kmsg.DescribeProducersResponse).Topics = append(resp.(*kmsg.DescribeProducersResponse).Topics, topic)
		}
	})
	l := &lab{t: t, addrs: c.ListenAddrs(), topic: "orders"}
	l.cl = l.client()
	defer l.cl.Close()
	l.goes(keys(0, 200))
	r := l.look()
	for _, id := range []string{"L03", "L04"} {
		if !slices.ContainsFunc(r.NotChecked, func(u finding.Unchecked) bool {
			return u.Rule == id && strings.Contains(u.Why, "this user may not use")
		}) || slices.Contains(r.Checked, id) {
			t.Errorf("%s: checked %v, not checked %v", id, r.Checked, r.NotChecked)
		}
	}
	if !slices.Contains(r.Checked, "L01") || !slices.Contains(r.Checked, "K03") {
		t.Errorf("checked %v", r.Checked)
	}

	// Without Read there is nothing to say.
	refuse(c, kmsg.Fetch, func(req kmsg.Request, resp kmsg.Response) {
		rt := req.(*kmsg.FetchRequest).Topics[0]
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
		one := kmsg.NewFetchResponseTopicPartition()
		one.Partition, one.ErrorCode = rt.Partitions[0].Partition, kerr.TopicAuthorizationFailed.Code
		topic.Partitions = append(topic.Partitions, one)
		resp.(*kmsg.FetchResponse).Topics = append(resp.(*kmsg.FetchResponse).Topics, topic)
	})
	_, err = Collect(t.Context(), l.cl, Options{Topic: "orders", Sample: 100, Window: time.Hour, Now: time.Now()})
	if te := (*logread.TopicError)(nil); !errors.As(err, &te) || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("%v", err)
	}
}

// Two parts of a partition that is larger than the sample are read, and no more.
func TestTheSampleIsBounded(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := &lab{t: t, addrs: c.ListenAddrs(), topic: "orders"}
	l.cl = l.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer l.cl.Close()
	value := make([]byte, 100_000)
	for i := range 200 {
		r := &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "k%d", i), Value: value}
		if err := l.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Collect(t.Context(), l.cl, Options{Topic: "orders", Sample: 30, Window: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	r := Check(f)
	// A fetch brings a mebibyte: each part may be longer than was asked for by that.
	got := r.Sample.Partitions[0]
	if r.Sample.Records < 30 || r.Sample.Records > 60 || got.Whole || !strings.HasPrefix(got.Sampled, "0-") || !strings.HasSuffix(got.Sampled, ", 185-199") {
		t.Errorf("%+v", r.Sample)
	}
	if !strings.Contains(strings.Join(r.Unseen, "\n"), "the middle") || len(r.Findings) > 0 {
		t.Errorf("%v, %v", r.Unseen, r.Findings)
	}
}
