package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An engine decides what becomes of each request.
type engine struct {
	identify Identify
	report   func(*Hit)
	named    func([16]byte) string
	as       map[string]string // names of topics in choices
	waiting  *waiting

	healed   atomic.Bool
	byCount  bool // some rules count requests
	fetching bool // some rules are about what is fetched
	batches  bool // some rules are about what is produced

	mu          sync.Mutex
	rules       []*rule
	nth         map[asker]int64  // requests counted, by API, client and group
	unknowable  int64            // records of which nothing tells which they are
	unreadable  int64            // batches that could not be looked into
	intervals   map[string]int32 // the heartbeat interval that a group's coordinator last gave
	reportOrder sync.Mutex
}

func newEngine(faults []Fault, seed uint64, identify Identify, report func(*Hit), named func([16]byte) string, w *waiting) *engine {
	e := &engine{identify: identify, report: report, named: named, waiting: w, nth: make(map[asker]int64), intervals: make(map[string]int32)}
	for i, f := range faults {
		e.rules = append(e.rules, newRule(f, i, seed))
		switch {
		case f.byCount():
			e.byCount = true
		case f.Kind == FetchError:
			e.fetching = true
		default:
			e.batches = true
		}
	}
	return e
}

// An asker is who sends requests that are counted.
type asker struct{ api, client, group string }

// fate is what becomes of a connection when an answer has come.
type fate int8

const (
	pass fate = iota
	cutOff
	silence
)

// progress is how far a strike has come.
type progress int8

const (
	// begun: the client may not have felt it yet.
	begun progress = iota
	// felt: what the client gets is decided.
	felt
	// void: its connection ended before, and it was given back.
	void
)

// A strike is a fault on its way.
type strike struct {
	rule  *rule
	hit   *Hit
	conn  *conn
	state progress // under the engine's lock

	topic     string // of the first batch struck; "" when it is not about batches
	partition int32
	replay    bool // it is still to be sent once more
}

// A plan is what becomes of one request. Without one it is passed on.
type plan struct {
	strikes []*strike
	delay   time.Duration
	cut     bool   // instead of passing it on
	hold    bool   // likewise, and pass it on later
	drop    bool   // the broker does not get it: answer is what the client gets
	answer  []byte // nil with acks=0
	forward []byte // passed on instead of the frame; nil: the frame
	then    fate
	edits   []func(frame []byte) ([]byte, error) // of the broker's answer
}

// found is a batch with the chosen records in it that are due.
type found struct {
	part
	batch
	called string   // the topic's name in choices
	seqs   []uint64 // by their place in the writer's sequence
	keys   []uint64 // by key and number
	texts  []Target // of keys
}

// produce decides about a produce request.
func (e *engine) produce(c *conn, r *request, w *written) (*plan, error) {
	if !e.batches || e.healed.Load() {
		return nil, nil
	}
	var all []found
	for _, p := range w.parts {
		if !e.concerned(p.topic, r.client, false) {
			continue
		}
		all = append(all, e.lookInto(r, p)...)
	}
	if len(all) == 0 {
		return nil, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &plan{}
	// A fault after which no batch of the request is acknowledged goes first, and
	// alone: what else is chosen comes again when the client does.
	for _, rule := range e.rules {
		if rule.Kind.whole() && !rule.byCount() && e.strike(p, rule, c, r, w, all) {
			rule.whole(p)
			return p, nil
		}
	}
	// The others go together, or what one leaves alone would be acknowledged before
	// its own fault has struck. Of one batch: those that refuse it first.
	codes, after := make(codes), make(codes)
	for _, rule := range e.rules {
		if rule.byCount() || rule.Kind != Refuse && rule.Kind != ErrorAfter || !e.strike(p, rule, c, r, w, all) {
			continue
		}
		to := codes
		if rule.Kind == ErrorAfter {
			to = after
		}
		for _, b := range p.strikes[len(p.strikes)-1].hit.Batches {
			to[place{b.Topic, b.Partition}] = rule.Error
		}
		all = slices.DeleteFunc(all, func(f found) bool { return codes.have(f) || after.have(f) })
	}
	for _, rule := range e.rules {
		if rule.byCount() || rule.Kind != Delay && rule.Kind != Replay || !e.strike(p, rule, c, r, w, all) {
			continue
		}
		if rule.Kind == Delay {
			p.delay = max(p.delay, rule.For)
		} else {
			p.strikes[len(p.strikes)-1].replay = true
		}
	}
	if len(p.strikes) == 0 {
		return nil, nil
	}
	if len(after) > 0 {
		p.edits = append(p.edits, failAfter(r, after, e.named))
	}
	if len(codes) == 0 {
		return p, nil
	}
	return p, p.refuse(r, w, codes, e.named)
}

// strike adds a strike to the plan when batches cover records that the rule chose
// and that are due. The caller has the lock.
func (e *engine) strike(p *plan, rule *rule, c *conn, r *request, w *written, all []found) bool {
	struck, hits := e.struckBy(rule, c, r, all)
	if len(struck) == 0 {
		return false
	}
	if w.acks == 0 && rule.Kind.answered() {
		rule.count.Impossible++ // there is no answer to lose, or to wait for
		return false
	}
	h := &Hit{Fault: rule.plain(), Node: c.node.id, API: r.name(), Client: r.client, Batches: hits, Beside: len(w.parts) - len(struck)}
	s := &strike{rule: rule, hit: h, conn: c, topic: struck[0].topic, partition: struck[0].partition}
	rule.strike(h)
	if rule.Kind == Hold {
		s.state = felt // its client finds the connection closed
	} else {
		rule.hold(s)
	}
	p.strikes = append(p.strikes, s)
	return true
}

// called is the topic's name in faults and choices.
func (e *engine) called(topic string) string {
	if name, ok := e.as[topic]; ok {
		return name
	}
	return topic
}

// concerned reports whether any rule is about records of the topic.
func (e *engine) concerned(topic, client string, fetched bool) bool {
	for _, r := range e.rules { // which do not change
		if !r.byCount() && (r.Kind == FetchError) == fetched && r.concerns(e.called(topic), client) {
			return true
		}
	}
	return false
}

// maxCount is how many records a batch can have here. Clients send some thousands
// at the most; the number in a batch's header is only a claim.
const maxCount = 1 << 20

// lookInto finds out which records a partition's part has.
func (e *engine) lookInto(r *request, p part) []found {
	var all []found
	for rest := p.records; len(rest) > 0; {
		b, next, err := nextBatch(rest)
		if err != nil {
			if r.key != apiFetch { // what is fetched may end within a batch
				e.count(&e.unreadable, 1)
			}
			break
		}
		rest = next
		if b.control {
			continue
		}
		if b.count > maxCount {
			e.count(&e.unreadable, 1)
			continue
		}
		f := found{part: p, batch: b, called: e.called(p.topic)}
		if b.producer >= 0 {
			for i := range b.count {
				f.seqs = append(f.seqs, f.sequenceTarget(r.client, i).id())
			}
		}
		if e.identify != nil {
			err := b.each(func(i int32, rec *Record) bool {
				key, number, ok := e.identify(p.topic, rec)
				if !ok {
					return true
				}
				t := Target{Topic: f.called, Key: append(Bytes(nil), key...), Number: &number}
				f.keys = append(f.keys, t.id())
				f.texts = append(f.texts, t)
				return true
			})
			if err != nil {
				e.count(&e.unreadable, 1)
			}
		}
		if len(f.seqs) == 0 && len(f.keys) == 0 {
			e.count(&e.unknowable, int64(b.count))
			continue
		}
		all = append(all, f)
	}
	return all
}

func (e *engine) count(n *int64, by int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*n += by
}

func (f *found) sequenceTarget(client string, i int32) *Target {
	n := f.sequenceOf(i)
	return &Target{Topic: f.called, Client: client, Partition: f.partition, Sequence: &n}
}

// struckBy gives the batches that cover a record that the rule chose and that is
// due. The caller has the lock.
func (e *engine) struckBy(rule *rule, c *conn, r *request, all []found) (struck []found, hits []BatchHit) {
	for _, f := range all {
		if !rule.concerns(f.called, r.client) {
			continue
		}
		var chosen []Target
		for i, id := range f.keys {
			if rule.picks(id) && rule.due(id, c) {
				chosen = append(chosen, f.texts[i])
			}
		}
		// A record that is known by key and number is not chosen by its sequence
		// as well: the control that has none has to be struck at the same ones.
		if e.identify == nil || rule.chosen != nil {
			for i, id := range f.seqs {
				if rule.picks(id) && rule.due(id, c) {
					chosen = append(chosen, *f.sequenceTarget(r.client, int32(i)))
				}
			}
		}
		if len(chosen) == 0 {
			continue
		}
		struck = append(struck, f)
		h := BatchHit{Topic: f.topic, Partition: f.partition, Producer: f.producer, Epoch: f.epoch, Sequence: f.sequence, Records: f.batch.count, Chosen: chosen}
		if r.key == apiFetch {
			h.Offset = f.offset
		}
		hits = append(hits, h)
	}
	return struck, hits
}

// strike counts what is struck. The caller has the lock.
func (r *rule) strike(h *Hit) {
	r.count.Requests++
	r.count.Batches += int64(len(h.Batches))
	for _, t := range h.Targets() {
		r.struck[t.id()]++
		r.count.Chosen++
	}
}

// hold keeps a strike until its client has felt it. The caller has the engine's lock.
func (r *rule) hold(p *strike) {
	for _, t := range p.hit.Targets() {
		r.begun[t.id()] = p
	}
}

// release forgets it. The caller has the engine's lock.
func (r *rule) release(p *strike) {
	for _, t := range p.hit.Targets() {
		if id := t.id(); r.begun[id] == p {
			delete(r.begun, id)
		}
	}
}

// revoke makes due again what a strike was for that its client never felt, because
// the connection ended before: other requests on it had faults too, or the client
// did not wait. The caller has the engine's lock.
func (r *rule) revoke(p *strike) {
	if p.state != begun {
		return
	}
	p.state = void
	r.release(p)
	r.count.Requests--
	r.count.Batches -= int64(len(p.hit.Batches))
	for _, t := range p.hit.Targets() {
		r.struck[t.id()]--
		r.count.Chosen--
	}
}

func (e *engine) giveBack(p *strike) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p.rule.revoke(p)
}

// feel says that what the client gets is decided; false when it is void.
func (e *engine) feel(p *strike) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.state == begun {
		p.state = felt
		p.rule.release(p)
	}
	return p.state == felt
}

// finish reports a strike whose outcome is known.
func (e *engine) finish(p *strike) {
	if e.feel(p) {
		e.done(p.hit)
	}
}

// plain is the fault without its choice, as a hit names it.
func (r *rule) plain() Fault {
	f := r.Fault
	f.Chosen, f.Share, f.Skip = nil, 0, 0
	return f
}

// done reports a hit whose outcome is known.
func (e *engine) done(h *Hit) {
	e.reportOrder.Lock()
	defer e.reportOrder.Unlock()
	if h.reported {
		return
	}
	h.reported = true
	e.report(h)
}
