package orderly

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/rules"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A topic is one that was produced to: its partitions, as many as keys are spread
// over, and what has to stay as it was.
type topic struct {
	name string
	// limbo tells callers of records that fail before their partition is known;
	// its closed keys go over to the partitions.
	limbo *sender

	mu      sync.Mutex
	loading *loading
	grown   bool // a topic larger than ProducerConfig.Partitions was mentioned

	// Set once, before loaded.
	loaded  atomic.Bool
	id      [16]byte
	found   int // partitions of the topic at that time
	limit   int // bytes of a batch
	senders []*sender
	next    atomic.Uint32 // null keys are dealt out
	turn    sync.Mutex    // of a run to be given to the client
}

type loading struct {
	done chan struct{}
	err  error
}

// nullRun is how many null keys go to one partition before the next has its turn.
const nullRun = 100

// senderOf returns the partition's sender of a record.
func (t *topic) senderOf(p *Producer, r *kgo.Record) *sender {
	if r.Key == nil {
		return t.senders[int(t.next.Add(1)/nullRun)%len(t.senders)]
	}
	return t.senders[p.hash.Partition(r, len(t.senders))]
}

func (p *Producer) topic(name string) *topic {
	if t := p.lastTopic.Load(); t != nil && t.name == name {
		return t
	}
	if t := (*p.topics.Load())[name]; t != nil {
		p.lastTopic.Store(t)
		return t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.topics.Load()
	if t := old[name]; t != nil {
		return t
	}
	t := &topic{name: name}
	t.limbo = newSender(p, t, -1, batchOverhead)
	all := make(map[string]*topic, len(old)+1)
	for k, v := range old {
		all[k] = v
	}
	all[name] = t
	p.topics.Store(&all)
	return t
}

// load waits until the topic is known.
func (t *topic) load(ctx context.Context, p *Producer) error {
	if t.loaded.Load() {
		return nil
	}
	t.mu.Lock()
	l := t.loading
	if l == nil {
		if t.loaded.Load() {
			t.mu.Unlock()
			return nil
		}
		l = &loading{done: make(chan struct{})}
		t.loading = l
		p.spawn(func() {
			l.err = t.lookUp(p)
			t.mu.Lock()
			t.loading = nil
			t.mu.Unlock()
			close(l.done)
		})
	}
	t.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closing:
		return ErrProducerClosed
	}
}

// unknownFor is how long a topic that does not exist is asked for: it may have
// been created a moment ago, and not every broker knows it yet.
const unknownFor = 3 * time.Second

func (t *topic) lookUp(p *Producer) error {
	start := time.Now()
	var last error // what was answered, rather than that time was up
	for try := 1; ; try++ {
		ctx, cancel := context.WithDeadline(p.ctx, start.Add(p.cfg.StartTimeout))
		err := t.ask(ctx, p)
		cancel()
		if err == nil {
			return nil
		}
		if last != nil && errors.Is(err, context.DeadlineExceeded) {
			err = last
		}
		last = err
		waited := time.Since(start)
		var code *kerr.Error
		switch {
		case p.ctx.Err() != nil:
			return ErrProducerClosed
		case errors.As(err, new(*PartitionsChangedError)), errors.As(err, new(*AccessError)):
			return err
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			if waited >= min(unknownFor, p.cfg.StartTimeout) {
				return &AccessError{Resource: "topic", Name: t.name, Operation: "Write", Err: err}
			}
		case errors.As(err, &code) && !code.Retriable:
			return &AccessError{Resource: "topic", Name: t.name, Operation: "Describe", Err: err}
		case waited >= p.cfg.StartTimeout:
			return &ConnectError{Brokers: p.cfg.Brokers, Waited: waited, Err: err}
		}
		if try == 1 {
			p.cfg.Logger.Warn("orderly: a topic cannot be looked up; records for it wait", "topic", t.name, "error", err)
		}
		select {
		case <-time.After(min(time.Duration(try)*50*time.Millisecond, time.Second, max(p.cfg.StartTimeout-waited, time.Millisecond))):
		case <-p.ctx.Done():
		}
	}
}

// ask looks the topic up and makes its partitions.
func (t *topic) ask(ctx context.Context, p *Producer) error {
	found, err := p.metadata(ctx, []string{t.name})
	if err != nil {
		return err
	}
	f := found[t.name]
	if f.err != nil {
		return f.err
	}
	if id, _, err := p.cl.ProducerID(ctx); errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return &AccessError{Resource: "cluster", Name: "kafka-cluster", Operation: "IdempotentWrite", Err: err}
	} else if err != nil {
		return err
	} else if id < 0 {
		return &AccessError{Resource: "cluster", Name: "InitProducerId", Operation: "IdempotentWrite",
			Err: errors.New("the broker is too old, or KafkaOpts hold the client to a version that is, so that repeated batches would be written twice")}
	}
	n := f.partitions
	if want, ok := p.cfg.Partitions[t.name]; ok {
		if n < want {
			return &PartitionsChangedError{Topic: t.name, Old: want, New: n, Moves: moves(want, n)}
		}
		t.sayGrown(p, want, n)
		n = want
	}
	t.id, t.found = f.id, f.partitions
	limit, risk := p.topicLimit(ctx, t.name)
	t.limit = min(batchLimit(p.cfg.MaxBatchBytes, p.cl, t.name), limit)
	risk.Replicas = f.replicas
	p.risks.tell(p.cfg.Logger, t.name, risk, f.brokers)
	senders := make([]*sender, n)
	for i := range senders {
		senders[i] = newSender(p, t, int32(i), t.limit)
	}
	t.limbo.mu.Lock()
	defer t.limbo.mu.Unlock()
	t.senders = senders
	for _, c := range t.limbo.part.Closed() {
		if c.Key == nil {
			for _, s := range senders {
				s.part.Close(c)
			}
			continue
		}
		senders[p.hash.Partition(&kgo.Record{Key: c.Key}, n)].part.Close(c)
	}
	t.limbo.part.ClearAll()
	t.loaded.Store(true)
	// Who stops the producer sees these partitions from now on; who did before has
	// left them out.
	why := p.stopped()
	select {
	case <-p.abort:
		why = ErrProducerClosed
	default:
	}
	if why != nil {
		for _, s := range senders {
			s.mu.Lock()
			s.part.Stop(why)
			s.mu.Unlock()
		}
	}
	return nil
}

// sayGrown mentions once that a topic has more partitions than are used.
func (t *topic) sayGrown(p *Producer, used, found int) {
	t.mu.Lock()
	said := t.grown || found == used
	t.grown = t.grown || found != used
	t.mu.Unlock()
	if !said {
		p.cfg.Logger.Warn("orderly: the topic has more partitions than ProducerConfig.Partitions says; keys stay where they are, the others stay empty",
			"topic", t.name, "partitions", found, "used", used)
	}
}

// foundTopic is what the cluster says of a topic.
type foundTopic struct {
	id         [16]byte
	partitions int
	replicas   int // of the partition that has the fewest
	brokers    int // of the cluster
	err        error
}

func (p *Producer) metadata(ctx context.Context, names []string) (map[string]foundTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation, _ = p.cl.OptValue(kgo.AllowAutoTopicCreation).(bool)
	for _, name := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		return nil, err
	}
	found := make(map[string]foundTopic, len(names))
	for _, name := range names {
		found[name] = foundTopic{err: errors.New("the broker's answer has no such topic")}
	}
	for _, rt := range resp.Topics {
		if rt.Topic == nil {
			continue
		}
		f := foundTopic{id: rt.TopicID, partitions: len(rt.Partitions), brokers: len(resp.Brokers), err: kerr.ErrorForCode(rt.ErrorCode)}
		for i, rp := range rt.Partitions {
			if n := len(rp.Replicas); i == 0 || n < f.replicas {
				f.replicas = n
			}
		}
		if f.err == nil && f.partitions == 0 {
			f.err = errors.New("the broker's answer has no partitions")
		}
		found[*rt.Topic] = f
	}
	return found, nil
}

// topicLimit asks for the topic's own limit of a batch, and for what can lose records.
// Who may not read it goes without: the broker then says what is too large.
func (p *Producer) topicLimit(ctx context.Context, name string) (limit int, risk rules.Topic) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrDescribeConfigsRequest()
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, name
	rr.ConfigNames = append([]string{"max.message.bytes"}, rules.TopicConfigs...)
	req.Resources = append(req.Resources, rr)
	limit = 1<<31 - 1 // none
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		p.cfg.Logger.Debug("orderly: max.message.bytes of the topic cannot be read", "topic", name, "error", err)
		return limit, risk
	}
	for _, r := range resp.Resources {
		if r.ErrorCode != 0 {
			p.cfg.Logger.Debug("orderly: max.message.bytes of the topic cannot be read", "topic", name, "error", kerr.ErrorForCode(r.ErrorCode))
		}
		for _, c := range r.Configs {
			if c.Value == nil {
				continue
			}
			risk.Set(c.Name, *c.Value)
			if c.Name == "max.message.bytes" {
				if n, err := strconv.Atoi(*c.Value); err == nil {
					// The broker does not count the batch's length field.
					limit = n + batchOverhead - 61
				}
			}
		}
	}
	return limit, risk
}

// watch looks at the topics now and then, and when a record failed because of its
// topic: one that changed stops the producer.
func (p *Producer) watch() {
	every, _ := p.cl.OptValue(kgo.MetadataMaxAge).(time.Duration)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
			p.look(p.ctx)
		}
	}
}

func (p *Producer) look(ctx context.Context) {
	all := *p.topics.Load()
	var names []string
	for name, t := range all {
		if t.loaded.Load() {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := p.metadata(ctx, names)
	if err != nil {
		return // the next look will tell
	}
	for name, f := range found {
		if f.err == nil {
			p.compare(all[name], f)
		}
	}
}

func (p *Producer) compare(t *topic, f foundTopic) {
	none := [16]byte{}
	if f.id != t.id && f.id != none && t.id != none {
		p.stop(&TopicRecreatedError{Topic: t.name, Old: topicID(t.id), New: topicID(f.id), producing: true})
		return
	}
	if _, fixed := p.cfg.Partitions[t.name]; fixed {
		if f.partitions > len(t.senders) {
			t.sayGrown(p, len(t.senders), f.partitions)
		}
		return
	}
	// Partitions do not become fewer; a broker that was away may say so.
	if f.partitions > t.found {
		p.stop(&PartitionsChangedError{Topic: t.name, Old: t.found, New: f.partitions, Moves: moves(t.found, f.partitions)})
	}
}

// cause is what to name for a batch that failed: of a topic that was created anew
// the client says only that it does not know it.
func (p *Producer) cause(t *topic, err error) error {
	if !errors.Is(err, kerr.UnknownTopicID) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	p.look(ctx)
	var again *TopicRecreatedError
	if stopped := p.stopped(); errors.As(stopped, &again) && again.Topic == t.name {
		return fmt.Errorf("%w (%w)", again, err)
	}
	return err
}
