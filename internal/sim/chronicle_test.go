//go:build synctests

package sim

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type place struct {
	topic     string
	partition int32
}

// A chronicle is the history of one run. Members tell what they did; what was
// committed is what the brokers applied, at the place where they applied it,
// whether or not the answer ever reached anybody.
type chronicle struct {
	mu      sync.Mutex
	began   time.Time
	entries []*entry
	dead    map[string]bool
	names   map[string]string // member id in the group → member
	pending map[string][]*commitEntry
	offsets map[place]stored
	commits atomic.Int64
	broken  []string // contradictions that no checker sees
}

type entry struct {
	history.Event
	void bool
}

// stored is what the group's offsets hold of a partition.
type stored struct {
	offset int64
	meta   progress.Meta
	text   string
}

// A commitEntry is an OffsetCommit that a broker has taken in and not answered.
type commitEntry struct {
	at   int // entries from here on are its partitions
	req  *kmsg.OffsetCommitRequest
	meta []stored
}

func newChronicle() *chronicle {
	return &chronicle{
		began: time.Now(), dead: make(map[string]bool), names: make(map[string]string),
		pending: make(map[string][]*commitEntry), offsets: make(map[place]stored),
	}
}

// add records an event, unless its member is dead.
func (c *chronicle) add(e history.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Member != "" && c.dead[e.Member] {
		return
	}
	c.append(e)
}

func (c *chronicle) append(e history.Event) {
	e.At = int64(time.Since(c.began))
	c.entries = append(c.entries, &entry{Event: e})
}

// kill records that a member is dead: nothing that it does counts from here on.
func (c *chronicle) kill(member string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.append(history.Event{Kind: history.Kill, Member: member})
	c.dead[member] = true
}

func (c *chronicle) contradiction(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// forget begins a new history: what was before is another topic's, or is checked by
// other means.
func (c *chronicle) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = nil
	clear(c.offsets)
}

// know tells which member has a member id.
func (c *chronicle) know(id, member string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[id] = member
}

// processing is called by the cluster, in the order in which it handles requests.
func (c *chronicle) processing(r kmsg.Request) bool {
	req := r.(*kmsg.OffsetCommitRequest)
	c.mu.Lock()
	defer c.mu.Unlock()
	id := identity(req)
	for _, p := range c.pending[id] {
		if p.req == req {
			return false // asked about each of its partitions
		}
	}
	p := &commitEntry{at: len(c.entries), req: req}
	member := c.names[req.MemberID]
	if member == "" {
		member = "id " + req.MemberID
	}
	for _, t := range req.Topics {
		for _, rp := range t.Partitions {
			st := stored{offset: rp.Offset}
			if rp.Metadata != nil {
				st.text = *rp.Metadata
				st.meta, _ = progress.Decode(rp.Offset, *rp.Metadata)
			}
			p.meta = append(p.meta, st)
			e := history.Event{Kind: history.Commit, Member: member, Topic: t.Topic, Partition: rp.Partition, Offset: rp.Offset, Token: st.meta.Token}
			for _, r := range st.meta.Ahead {
				for o := r.From; o < r.To; o++ {
					e.Ahead = append(e.Ahead, o)
				}
			}
			c.append(e)
			c.entries[len(c.entries)-1].void = true
		}
	}
	c.pending[id] = append(c.pending[id], p)
	return false
}

// identity tells requests apart that are not the same twice.
func identity(req *kmsg.OffsetCommitRequest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", req.MemberID, req.Generation)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			// Which of topic and id is set depends on the version.
			fmt.Fprintf(&b, " %d %d", p.Partition, p.Offset)
			if p.Metadata != nil {
				b.WriteString(*p.Metadata)
			}
		}
	}
	return b.String()
}

// answered takes the broker's answer to a commit.
func (c *chronicle) answered(reqBytes, respBytes []byte) {
	kreq, ok := parseRequest(reqBytes)
	if !ok {
		return
	}
	req, ok := kreq.(*kmsg.OffsetCommitRequest)
	if !ok {
		return
	}
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	body := respBytes[8:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.contradiction("the answer to an OffsetCommit cannot be read: %v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := identity(req)
	waiting := c.pending[id]
	if len(waiting) == 0 {
		return // it was answered before anything was looked at
	}
	p := waiting[0]
	c.pending[id] = waiting[1:]
	codes := make(map[place]int16)
	for _, t := range resp.Topics {
		for _, rp := range t.Partitions {
			codes[place{topicKey(t.Topic, t.TopicID), rp.Partition}] = rp.ErrorCode
		}
	}
	i := 0
	for _, t := range p.req.Topics {
		for _, rp := range t.Partitions {
			code, ok := codes[place{topicKey("", t.TopicID), rp.Partition}]
			if !ok {
				code = codes[place{t.Topic, rp.Partition}]
			}
			// The brokers of these tests answer with the second code only what
			// they have applied.
			if code == 0 || code == kerr.RequestTimedOut.Code {
				e := c.entries[p.at+i]
				e.void = false
				c.offsets[place{e.Topic, e.Partition}] = p.meta[i]
				c.commits.Add(1)
			}
			i++
		}
	}
}

func topicKey(name string, id [16]byte) string {
	if id != [16]byte{} {
		return string(id[:])
	}
	return name
}

func parseRequest(b []byte) (kmsg.Request, bool) {
	r := kbin.Reader{Src: b[4:]}
	key, version := r.Int16(), r.Int16()
	r.Int32()
	r.NullableString()
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil, false
	}
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	return req, req.ReadFrom(r.Src) == nil
}

// committed is what the group's offsets hold of a partition; ok is false before
// the first commit.
func (c *chronicle) committed(topic string, partition int32) (st stored, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, ok = c.offsets[place{topic, partition}]
	return st, ok
}

// events is the history so far.
func (c *chronicle) events() []history.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]history.Event, 0, len(c.entries))
	for _, e := range c.entries {
		if !e.void {
			e.N = int64(len(out) + 1)
			out = append(out, e.Event)
		}
	}
	return out
}
