package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster has the topic with two partitions, each on a broker of its own.
func cluster(t *testing.T) (*kfake.Cluster, *orderlytest.Broker) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for p := range int32(2) {
		if err := c.MoveTopicPartition(topic, p, p); err != nil {
			t.Fatal(err)
		}
	}
	return c, orderlytest.Dial(t, c.ListenAddrs()...)
}

// keyIn is a key of a partition.
func keyIn(partition, of int) string {
	hash := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for i := 0; ; i++ {
		if k := fmt.Sprintf("k%d", i); hash.Partition(&kgo.Record{Key: []byte(k)}, of) == partition {
			return k
		}
	}
}

// refusing answers produce requests with an error; hold is called before, with the
// partition.
func refusing(c *kfake.Cluster, hold func(partition int32)) {
	c.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := kreq.(*kmsg.ProduceRequest)
		rt := req.Topics[0]
		if hold != nil {
			c.SleepControl(func() { hold(rt.Partitions[0].Partition) })
		}
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		at := kmsg.NewProduceResponseTopic()
		at.Topic, at.TopicID = rt.Topic, rt.TopicID
		for _, p := range rt.Partitions {
			ap := kmsg.NewProduceResponseTopicPartition()
			ap.Partition, ap.ErrorCode = p.Partition, kerr.InvalidRecord.Code
			at.Partitions = append(at.Partitions, ap)
		}
		resp.Topics = append(resp.Topics, at)
		return resp, nil, true
	})
}

// until calls a function once, when a text was written.
type until struct {
	io.Writer
	text string
	call func()
	once sync.Once
}

func (u *until) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(u.text)) {
		u.once.Do(u.call)
	}
	return u.Writer.Write(b)
}

// Two partitions fail, and the one with the earlier line is told later: the line
// that is named is the first of the input, from which on it can be sent again.
func TestNamesTheFirstLineOfTheInput(t *testing.T) {
	c, b := cluster(t)
	told := make(chan struct{})
	refusing(c, func(partition int32) {
		if partition == 0 {
			<-told
		}
	})
	first := write(t, "first.jsonl", fmt.Sprintf("{\"k\":%q}\n", keyIn(0, 2)))
	in := fmt.Sprintf("{\"k\":%q}\n", keyIn(1, 2))
	o := options(t, b, in, first, "-")
	o.Err = &until{Writer: o.Err, text: "partition=1", call: func() { close(told) }}
	res, err := Run(limit(t), o)
	if e, ok := errors.AsType[*SendError](err); !ok || e.File != first || e.Line != 1 || res.Failed != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

// Nothing comes in, and the end is not there: a signal, or a record that failed,
// ends the run all the same.
func TestQuietInput(t *testing.T) {
	why := errors.New("a signal")
	t.Run("signal", func(t *testing.T) {
		b := orderlytest.NewBroker(t, topic)
		r, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		o := options(t, b, "")
		o.In = r
		ctx, cancel := context.WithCancelCause(limit(t))
		go func() {
			_, _ = io.WriteString(w, "{\"k\":1}\n")
			b.Eventually("the record is there", func() bool { return b.End(topic, 0)+b.End(topic, 1)+b.End(topic, 2)+b.End(topic, 3) == 1 })
			cancel(why)
		}()
		if res, err := Run(ctx, o); !errors.Is(err, why) || res.Sent != 1 {
			t.Errorf("%+v, %v", res, err)
		}
	})
	t.Run("failure", func(t *testing.T) {
		c, b := cluster(t)
		refusing(c, nil)
		r, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		o := options(t, b, "")
		o.In = r
		go func() { _, _ = io.WriteString(w, "{\"k\":1}\n") }()
		ctx := limit(t)
		res, err := Run(ctx, o)
		if e, ok := errors.AsType[*SendError](err); !ok || e.Line != 1 || ctx.Err() != nil {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// A signal that comes when all was read, and nothing is answered, ends the run too.
func TestSignalAfterTheInput(t *testing.T) {
	c, b := cluster(t)
	under := make(chan struct{})
	var once sync.Once
	end := make(chan struct{})
	defer close(end)
	refusing(c, func(int32) {
		once.Do(func() { close(under) })
		<-end
	})
	o := options(t, b, "{\"k\":1}\n")
	o.Drain = time.Millisecond
	why := errors.New("a signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		<-under
		cancel(why)
	}()
	done := make(chan struct{})
	var res Result
	var err error
	go func() {
		defer close(done)
		res, err = Run(ctx, o)
	}()
	select {
	case <-done:
	case <-limit(t).Done():
		t.Fatal("the signal has no effect")
	}
	if e, ok := errors.AsType[*SendError](err); !ok || e.Line != 1 || !errors.Is(err, why) || !errors.Is(err, orderly.ErrMaybeWritten) || res.Failed != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A topic that has grown: keys stay where they were when their number of partitions
// is given.
func TestPartitionsOfAGrownTopic(t *testing.T) {
	t.Parallel()
	b := orderlytest.NewBroker(t)
	b.CreateTopic(topic, 2)
	b.GrowTopic(topic, 5)
	var in strings.Builder
	for i := range 50 {
		fmt.Fprintf(&in, "{\"k\":%d}\n", i)
	}
	o := options(t, b, in.String())
	o.Partitions = 2
	if res, err := Run(limit(t), o); err != nil || res.Sent != 50 {
		t.Fatalf("%+v, %v", res, err)
	}
	if b.End(topic, 0) == 0 || b.End(topic, 1) == 0 || b.End(topic, 0)+b.End(topic, 1) != 50 {
		t.Errorf("%d and %d of 50 in the first two partitions", b.End(topic, 0), b.End(topic, 1))
	}
	for _, c := range []struct {
		create bool
		n      int
		want   string
	}{
		{true, 2, "is there with 5 partitions, not 2, and the number decides where keys go: leave --create out and give the number over which its keys were spread until now (--partitions 5"},
		{false, 6, "has 5 partitions, which is fewer than --partitions 6"},
	} {
		o := options(t, b, "{\"k\":1}\n")
		o.Create, o.Partitions = c.create, c.n
		if _, err := Run(limit(t), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	stored(t, b, 50)
}

// Another made the topic between our look and our creating it, with another number
// of partitions.
func TestCreatedMeanwhile(t *testing.T) {
	for n, want := range map[int32]string{3: "", 4: "is there with 4 partitions, not 3"} {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		b := orderlytest.Dial(t, c.ListenAddrs()...)
		other := make(chan error, 1)
		c.ControlKey(int16(kmsg.CreateTopics), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			c.SleepControl(func() { other <- c.CreateTopic(topic, n, nil) })
			req := kreq.(*kmsg.CreateTopicsRequest)
			resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
			at := kmsg.NewCreateTopicsResponseTopic()
			at.Topic, at.ErrorCode = topic, kerr.TopicAlreadyExists.Code
			resp.Topics = append(resp.Topics, at)
			return resp, nil, true
		})
		o := options(t, b, "{\"k\":1}\n")
		o.Create, o.Partitions = true, 3
		res, err := Run(limit(t), o)
		if made := <-other; made != nil {
			t.Fatal(made)
		}
		if want == "" && (err != nil || res.Sent != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || b.End(topic, 0) != 0) {
			t.Errorf("%d partitions: %+v, %v", n, res, err)
		}
	}
}

// Records that are larger than the client's requests are by default get larger ones.
func TestRequestsOfManyMegabytes(t *testing.T) {
	for record, want := range map[int]int32{1_000_012: largestRequest, largestRequest - 2<<20: largestRequest, largestRequest: 101 << 20, 1 << 30: 1 << 30} {
		o := options(t, orderlytest.NewBroker(t), "")
		o.MaxRecord = record
		cfg := o.producer()
		cl, err := kgo.NewClient(cfg.KafkaOpts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := cl.OptValue(kgo.BrokerMaxWriteBytes); got != want {
			t.Errorf("records of %d: requests of %d, want %d", record, got, want)
		}
		cl.Close()
	}
}
