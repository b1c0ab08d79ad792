package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminLimit is how long the cluster may take to answer one of our own requests.
const adminLimit = 30 * time.Second

// A world is the cluster, with what the experiment has made there.
type world struct {
	brokers  []string
	embedded *embedded.Cluster // nil: not ours
	cl       *kgo.Client
	adm      *kadm.Client
	prefix   string
	replicas int16
	topics   []string
	groups   []string
	keep     bool
}

// A ClusterError is why the cluster cannot be used.
type ClusterError struct {
	What string
	Err  error
}

func (e *ClusterError) Error() string { return e.What + ": " + e.Err.Error() }
func (e *ClusterError) Unwrap() error { return e.Err }

func openWorld(ctx context.Context, c *Config) (*world, error) {
	w := &world{brokers: c.Brokers, keep: c.Keep, replicas: -1, prefix: Prefix + strings.ToLower(rand.Text()[:10]) + "-"}
	if len(c.Brokers) == 0 {
		var err error
		// Real brokers allow no session shorter than 6 s unless told so.
		w.embedded, err = embedded.New(kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(100*time.Millisecond))
		if err != nil {
			return nil, fmt.Errorf("starting the embedded broker: %w", err)
		}
		w.brokers = w.embedded.ListenAddrs()
	}
	opts := append([]kgo.Opt{kgo.SeedBrokers(w.brokers...), kgo.ClientID("orderly-prove")}, c.Opts...)
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	cl, err := kgo.NewClient(append(opts, hasty()...)...)
	if err != nil {
		w.close(ctx)
		return nil, err
	}
	w.cl, w.adm = cl, kadm.NewClient(cl)
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	began := time.Now()
	if err := cl.Ping(limit); err != nil {
		w.close(ctx)
		return nil, &connect.UnreachableError{Brokers: w.brokers, Waited: time.Since(began), Err: err}
	}
	return w, nil
}

// create makes a topic of the experiment. One that is there is not ours.
func (w *world) create(ctx context.Context, role string, partitions int) (string, error) {
	name := w.prefix + role
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	resp, err := w.adm.CreateTopic(limit, int32(partitions), w.replicas, nil, name)
	if err == nil {
		err = resp.Err
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return "", &ClusterError{"topic " + name, errors.New("it is there already, and prove writes to no topic that it has not made: run it again")}
	}
	if err != nil {
		return "", &ClusterError{"topic " + name + " cannot be made (prove makes topics whose names begin with " + Prefix + ")", err}
	}
	w.topics = append(w.topics, name)
	return name, w.known(limit, name)
}

// known waits until all brokers know a topic: they learn of it one after the other,
// and until then a client may be told that there is none.
func (w *world) known(ctx context.Context, topic string) error {
	if w.embedded != nil {
		return nil
	}
	brokers, err := w.adm.ListBrokers(ctx)
	if err != nil {
		return &ClusterError{"the brokers", err}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, b := range brokers {
		for {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
			resp, err := req.RequestWith(ctx, w.cl.Broker(int(b.NodeID)))
			if err == nil && len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == 0 && len(resp.Topics[0].Partitions) > 0 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return &ClusterError{fmt.Sprintf("topic %s: broker %d does not know of it", topic, b.NodeID), errors.Join(context.Cause(ctx), err)}
			}
		}
	}
	return nil
}

// parking notes the topic that a consumer of the experiment's makes for itself.
func (w *world) parking(prefix, group, topic string) error {
	name, err := parking.TopicName(prefix, group, topic)
	if err == nil && !slices.Contains(w.topics, name) {
		w.topics = append(w.topics, name)
	}
	return err
}

// group gives the name of a group of the experiment.
func (w *world) group(role string) string {
	name := w.prefix + role
	w.groups = append(w.groups, name)
	return name
}

// ends are the end offsets of a topic's partitions.
func (w *world) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	limit, cancel := context.WithTimeout(ctx, adminLimit)
	defer cancel()
	all, err := w.adm.ListEndOffsets(limit, topic)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return nil, &ClusterError{"the end of topic " + topic, err}
	}
	ends := make(map[int32]int64)
	all.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// removeGroup waits for members that were killed, or are static, to be missed.
func (w *world) removeGroup(ctx context.Context, group string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := w.adm.DeleteGroup(ctx, group)
		if err == nil {
			err = resp.Err
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return nil
		case !errors.Is(err, kerr.NonEmptyGroup):
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// close removes what was made, unless it is to be kept.
func (w *world) close(ctx context.Context) error {
	if w.embedded != nil {
		defer w.embedded.Close()
	}
	if w.cl == nil {
		return nil
	}
	defer w.cl.Close()
	if w.keep || w.embedded != nil {
		return nil
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminLimit)
	defer cancel()
	var errs []error
	for _, group := range w.groups {
		if err := w.removeGroup(limit, group); err != nil {
			errs = append(errs, fmt.Errorf("group %s: %w", group, err))
		}
	}
	if len(w.topics) > 0 {
		resps, err := w.adm.DeleteTopics(limit, w.topics...)
		errs = append(errs, err)
		for _, r := range resps {
			if r.Err != nil && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
				errs = append(errs, fmt.Errorf("topic %s: %w", r.Topic, r.Err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &ClusterError{"what the experiment has made could not be removed (names begin with " + w.prefix + ")", err}
	}
	return nil
}
