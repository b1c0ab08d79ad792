package produce

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// startTimeout is how long the first broker may take to answer.
const startTimeout = 30 * time.Second

// A TopicError says that the topic is not as it has to be.
type TopicError struct {
	Topic string
	Why   string
	Err   error // of the cluster; may be nil
}

func (e *TopicError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("topic %s %s: %v", e.Topic, e.Why, e.Err)
	}
	return fmt.Sprintf("topic %s %s", e.Topic, e.Why)
}

func (e *TopicError) Unwrap() error { return e.Err }

// prepare sees to it that the topic is there.
func (o *Options) prepare(ctx context.Context) error {
	cl, err := o.Cluster.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	limit, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	md, err := adm.Metadata(limit, o.Topic)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &connect.UnreachableError{Brokers: o.Cluster.Brokers, Waited: time.Since(began), Err: err}
	}
	t := md.Topics[o.Topic]
	switch {
	case t.Err == nil:
		return o.compare(len(t.Partitions))
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition) && !o.Create:
		return &TopicError{o.Topic, "is not there: check the name, or make it with --create --partitions N", nil}
	case !errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return &orderly.AccessError{Resource: "topic", Name: o.Topic, Operation: "Describe", Err: t.Err}
	}
	resp, err := adm.CreateTopic(limit, int32(o.Partitions), -1, nil, o.Topic)
	if err == nil {
		err = resp.Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return o.meanwhile(limit, cl)
	}
	if err != nil {
		return &TopicError{o.Topic, "cannot be made", err}
	}
	return nil
}

// compare says whether keys are where --partitions says.
func (o *Options) compare(found int) error {
	switch {
	case o.Create && found != o.Partitions:
		return &TopicError{o.Topic, fmt.Sprintf("is there with %d partitions, not %d, and the number decides where keys go: leave --create out and give the number "+
			"over which its keys were spread until now (--partitions %d when it was never changed); or choose another name", found, o.Partitions, found), nil}
	case o.Partitions > found:
		return &TopicError{o.Topic, fmt.Sprintf("has %d partitions, which is fewer than --partitions %d: give the number over which its keys were spread until now",
			found, o.Partitions), nil}
	}
	return nil
}

// meanwhile looks at a topic that another made when we were about to. It may take a
// moment until every broker knows it.
func (o *Options) meanwhile(ctx context.Context, cl *kgo.Client) error {
	req := kmsg.NewPtrMetadataRequest() // kadm would give the answer that it had before
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = kmsg.StringPtr(o.Topic)
	req.Topics = append(req.Topics, rt)
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err == nil && len(resp.Topics) != 1 {
			err = errors.New("the broker's answer has no such topic")
		}
		if err != nil {
			return &TopicError{o.Topic, "was made by another meanwhile, and cannot be looked at", err}
		}
		t := resp.Topics[0]
		err = kerr.ErrorForCode(t.ErrorCode)
		switch {
		case err == nil && len(t.Partitions) > 0:
			return o.compare(len(t.Partitions))
		case err != nil && !kerr.IsRetriable(err):
			return &orderly.AccessError{Resource: "topic", Name: o.Topic, Operation: "Describe", Err: err}
		}
		select {
		case <-ctx.Done():
			return &TopicError{o.Topic, "was made by another meanwhile, and cannot be looked at", ctx.Err()}
		case <-time.After(100 * time.Millisecond):
		}
	}
}
