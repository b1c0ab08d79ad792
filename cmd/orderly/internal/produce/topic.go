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
	case t.Err == nil && o.Create && len(t.Partitions) != o.Partitions:
		return &TopicError{o.Topic, fmt.Sprintf("is there with %d partitions, not %d: another number would move its keys; leave --create out, or choose another name",
			len(t.Partitions), o.Partitions), nil}
	case t.Err == nil:
		return nil
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition) && !o.Create:
		return &TopicError{o.Topic, "is not there: check the name, or make it with --create --partitions N", nil}
	case !errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return &orderly.AccessError{Resource: "topic", Name: o.Topic, Operation: "Describe", Err: t.Err}
	}
	resp, err := adm.CreateTopic(limit, int32(o.Partitions), -1, nil, o.Topic)
	if err == nil {
		err = resp.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return &TopicError{o.Topic, "cannot be made", err}
	}
	return nil
}
