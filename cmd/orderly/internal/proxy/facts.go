package proxy

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Facts are what came through the proxy, and what it did. An experiment judges by
// them: whether its program came this way with all of its records, and whether
// enough faults struck.
type Facts struct {
	Clients []ClientFacts `json:"clients"` // by client id
	Counts  []Count       `json:"faults"`  // in the order of the faults

	// Unknowable are records of which nothing tells which they are: without a
	// number and without a producer id. No fault can choose them.
	Unknowable int64 `json:"unknowable_records,omitempty"`
	// Unreadable are batches that could not be looked into.
	Unreadable int64 `json:"unreadable_batches,omitempty"`

	Nodes     []int32     `json:"nodes"` // brokers that have a listener
	Obstacles []*Obstacle `json:"obstacles,omitempty"`
	Troubles  []string    `json:"troubles,omitempty"` // errors of connections, each once
}

// ClientFacts are those of one client id.
type ClientFacts struct {
	Client      string `json:"client"`
	Connections int64  `json:"connections"`
	// Handed are answers with broker addresses that it was given.
	Handed   int64            `json:"handed_addresses"`
	Requests map[string]int64 `json:"requests"`

	// ProducedBatches and records are those in its requests, with those that it
	// sent again.
	ProducedBatches int64 `json:"produced_batches"`
	ProducedRecords int64 `json:"produced_records"`
	FetchedBatches  int64 `json:"fetched_batches"`
	FetchedRecords  int64 `json:"fetched_records"`
}

// maxClients is how many client ids are told apart; the rest counts as otherClients.
const maxClients = 1000

const otherClients = "(other clients)"

type clients struct {
	mu  sync.Mutex
	all map[string]*clientFacts
}

type clientFacts struct {
	connections, handedOut                                   atomic.Int64
	producedBatches, producedRecords, fetchedBs, fetchedRecs atomic.Int64
	requests                                                 [len(requests)]atomic.Int64
}

// meet learns whose connection it is: clients say it in each request.
func (c *conn) meet(r *request) {
	if c.facts == nil {
		c.facts = c.p.clients.named(r.client)
		c.facts.connections.Add(1)
	}
	if _, ok := knownRequest(r.key); ok {
		c.facts.requests[r.key].Add(1)
	}
}

// Requests is how many requests of that name came, of all clients.
func (p *Proxy) Requests(name string) (n int64) {
	key := keyOf(name)
	if key < 0 {
		return 0
	}
	p.clients.mu.Lock()
	defer p.clients.mu.Unlock()
	for _, c := range p.clients.all {
		n += c.requests[key].Load()
	}
	return n
}

func (cs *clients) named(id string) *clientFacts {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f := cs.all[id]
	if f == nil && len(cs.all) >= maxClients {
		id = otherClients
		f = cs.all[id]
	}
	if f == nil {
		f = new(clientFacts)
		cs.all[id] = f
	}
	return f
}

func (f *clientFacts) handed() { f.handedOut.Add(1) }

func (f *clientFacts) produced(parts []part) {
	for _, p := range parts {
		b, r := countBatches(p.records)
		f.producedBatches.Add(b)
		f.producedRecords.Add(r)
	}
}

func (f *clientFacts) fetched(p part) {
	b, r := countBatches(p.records)
	f.fetchedBs.Add(b)
	f.fetchedRecs.Add(r)
}

func countBatches(records []byte) (batches, count int64) {
	for len(records) > 0 {
		b, rest, err := nextBatch(records)
		if err != nil {
			break
		}
		if !b.control {
			batches++
			count += int64(b.count)
		}
		records = rest
	}
	return batches, count
}

// notes are what a person has to know about the connections. Each is kept once.
type notes struct {
	mu        sync.Mutex
	obstacles []*Obstacle
	troubles  []string
}

const maxNotes = 100

// obstructed notes an obstacle, and gives the error back.
func (p *Proxy) obstructed(err error) error {
	o, ok := errors.AsType[*Obstacle](err)
	if !ok {
		return err
	}
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	if len(p.notes.obstacles) < maxNotes && !slices.ContainsFunc(p.notes.obstacles, func(have *Obstacle) bool { return *have == *o }) {
		p.notes.obstacles = append(p.notes.obstacles, o)
	}
	return err
}

// trouble notes why a connection ended, when it was not a side that closed it.
func (p *Proxy) trouble(n *node, err error) {
	if p.ctx.Err() != nil {
		return
	}
	if _, ok := errors.AsType[*Obstacle](p.obstructed(err)); ok {
		return
	}
	name := "bootstrap"
	if n.id != bootstrap {
		name = "broker " + strconv.Itoa(int(n.id))
	}
	text := name + ": " + err.Error()
	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	if len(p.notes.troubles) < maxNotes && !slices.Contains(p.notes.troubles, text) {
		p.notes.troubles = append(p.notes.troubles, text)
	}
}

// Facts gives them as they are now.
func (p *Proxy) Facts() Facts {
	var f Facts
	p.clients.mu.Lock()
	for id, c := range p.clients.all {
		one := ClientFacts{
			Client: id, Connections: c.connections.Load(), Handed: c.handedOut.Load(), Requests: make(map[string]int64),
			ProducedBatches: c.producedBatches.Load(), ProducedRecords: c.producedRecords.Load(),
			FetchedBatches: c.fetchedBs.Load(), FetchedRecords: c.fetchedRecs.Load(),
		}
		for key := range c.requests {
			if n := c.requests[key].Load(); n > 0 {
				one.Requests[(&request{key: int16(key)}).name()] = n
			}
		}
		f.Clients = append(f.Clients, one)
	}
	p.clients.mu.Unlock()
	slices.SortFunc(f.Clients, func(a, b ClientFacts) int { return cmp.Compare(a.Client, b.Client) })

	p.engine.mu.Lock()
	for _, r := range p.engine.rules {
		c := r.count
		c.Fault = r.plain()
		c.Fault.Share, c.Fault.Skip = r.Share, r.Skip
		f.Counts = append(f.Counts, c)
	}
	f.Unknowable, f.Unreadable = p.engine.unknowable, p.engine.unreadable
	p.engine.mu.Unlock()

	p.nodes.mu.Lock()
	f.Nodes = slices.DeleteFunc(slices.Sorted(maps.Keys(p.nodes.byID)), func(id int32) bool { return id == bootstrap })
	p.nodes.mu.Unlock()

	p.notes.mu.Lock()
	defer p.notes.mu.Unlock()
	f.Obstacles, f.Troubles = slices.Clone(p.notes.obstacles), slices.Clone(p.notes.troubles)
	return f
}
