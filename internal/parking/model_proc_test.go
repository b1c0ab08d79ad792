package parking

import "slices"

// proc is a process that holds the partition, or held it and does not know.
type proc struct {
	w     *world
	n     int
	gen   int
	dead  bool
	token int64 // 0: none yet

	owner *Owner
	read  int64 // next position of the log

	out       *commit // in flight
	needGrant bool
	stopped   bool // by name

	started bool
	from    int64          // where it began
	settled map[int64]bool // of the offsets above
	lanes   map[string]*laneOf
	runs    []exec
	words   map[int64]Ask // operators' words about records that are not parked
	blind   bool          // it does not see yet that the topic exists
}

// laneOf is the queue of a key: the records that are not settled.
type laneOf struct {
	queue []int64
	asked int  // of the front, handed to the owner
	live  int  // of the front, that may run
	busy  bool // the first runs
	stuck bool // the first has failed, and is tried in place
}

type exec struct {
	o     int64
	token int64
	live  bool
}

func (w *world) join() *proc {
	w.gen++
	p := &proc{w: w, n: len(w.procs), gen: w.gen, needGrant: true, blind: w.rng.IntN(3) == 0 && !w.seen, settled: map[int64]bool{}, words: map[int64]Ask{}, lanes: map[string]*laneOf{}}
	w.procs = append(w.procs, p)
	w.cur = p
	w.say("p%d joins generation %d", p.n, w.gen)
	return p
}

// grant sends the commit that carries a token.
func (p *proc) grant() {
	w := p.w
	if !p.needGrant || p.out != nil {
		return
	}
	// What is found is compared with what was committed before the token is.
	if _, _, err := Check(w.found(w.store), &w.rules); err != nil && !p.started && !p.blind {
		w.stop(err)
		return
	}
	c := &commit{gen: p.gen, proc: p, grant: true, offset: w.first}
	if w.store != nil {
		c.offset, c.ahead, c.guard, c.note, c.token = w.store.offset, w.store.ahead, w.store.guard, w.store.note, w.store.token
		if w.sys == sysForgetful {
			c.ahead, c.guard, c.note = nil, nil, nil
		}
	}
	for _, l := range w.log[w.start:] {
		if l.entry.Kind == KindMarker {
			c.token = max(c.token, l.entry.Token)
		}
	}
	c.token = max(c.token, p.token) + 1
	p.out = c
	w.say("p%d asks for token %d", p.n, c.token)
	if w.sys == sysSelfGrant {
		p.out = nil
		p.granted(c)
	}
}

// commitLand is the coordinator taking a commit, or refusing it.
func (w *world) commitLand(c *commit, answer bool) {
	p := c.proc
	ok := c.gen == w.gen || w.sys == sysSelfGrant && !c.grant
	if ok {
		w.store = c
		w.say("commit of p%d: offset %d ahead %v guard %+v", p.n, c.offset, c.ahead, c.guard)
	}
	if !c.abandoned && !p.dead {
		switch {
		case !answer:
			w.say("p%d hears nothing of its commit", p.n)
			c.abandoned = true
			p.unsure()
		case ok:
			p.out = nil
			p.committed(c)
		default:
			p.out = nil
			p.needGrant = true // as a zombie: for ever
		}
	}
	w.look()
}

// unsure: a commit has no answer. A new generation comes before the next.
func (p *proc) unsure() {
	p.out = nil
	if p.w.sys == sysManyCommit {
		if p.token == 0 {
			p.needGrant = true
		}
		return
	}
	p.needGrant = true
	if p.w.cur == p {
		p.w.gen++
		p.gen = p.w.gen
	}
}

func (p *proc) committed(c *commit) {
	if c.grant {
		p.granted(c)
		return
	}
	if p.owner == nil || c.token != p.token {
		return
	}
	g, ok := Guard{}, c.guard != nil
	if ok {
		g = *c.guard
	}
	p.do(p.owner.Committed(c.offset, g, ok))
}

func (p *proc) granted(c *commit) {
	w := p.w
	p.token, p.needGrant = c.token, false
	w.say("p%d has token %d", p.n, p.token)
	if !p.started {
		p.started, p.from = true, c.offset
		for _, o := range append(c.noted(), c.ahead...) {
			p.settled[o] = true
		}
		if n := c.note; n != nil && (n.Pos < w.start || !Is(w.log[n.Pos].entry, n.Place())) {
			w.violate("the note at %d is named and not there", n.Pos)
		}
		for o := c.offset; o < int64(len(w.keys)); o++ {
			if !p.settled[o] {
				p.lane(o).queue = append(p.lane(o).queue, o)
			}
		}
	}
	if w.topic && p.owner == nil && (!p.blind || c.guard != nil) {
		p.attach(c)
		return
	}
	if p.owner != nil {
		p.do(p.owner.Granted(p.grantOf(c)))
	}
}

func (p *proc) grantOf(c *commit) Grant {
	g := Grant{Token: p.token, Watermark: c.offset, Fresh: c.guard == nil, Note: c.note}
	if c.guard != nil {
		g.Guard = *c.guard
	}
	return g
}

// attach begins to use the parking topic.
func (p *proc) attach(c *commit) {
	w := p.w
	from, _, err := Check(w.found(c), &w.rules)
	if err != nil {
		w.stop(err)
		p.stopped = true
		return
	}
	p.owner = NewOwner(&w.rules, MarkerBody{})
	p.read = from
	if w.rules.broken(ruleMarker) {
		p.owner.pending = map[int64]*Entry{}
		p.owner.token = c.token
		for p.read < int64(len(w.log)) {
			p.owner.Read(p.read, w.log[p.read].entry)
			p.read++
		}
	}
	p.do(p.owner.Granted(p.grantOf(c)))
}

// notice: a topic has appeared while the partition is held.
func (p *proc) notice() {
	w := p.w
	if !w.topic || p.owner != nil || p.token == 0 || p.needGrant {
		return
	}
	if w.sys == sysAttach {
		c := *w.store
		p.attach(&c)
		return
	}
	p.blind, p.needGrant = false, true
}

func (p *proc) lane(o int64) *laneOf {
	key := p.w.keys[o]
	if p.lanes[key] == nil {
		p.lanes[key] = &laneOf{}
	}
	return p.lanes[key]
}

// commit sends what is settled.
func (p *proc) commit() {
	w := p.w
	if p.token == 0 || p.needGrant || p.out != nil || p.stopped {
		return
	}
	c := &commit{gen: p.gen, proc: p, token: p.token, offset: p.from}
	n := int64(len(w.keys))
	for c.offset < n && p.settled[c.offset] {
		c.offset++
	}
	for o := c.offset; o < n; o++ {
		if p.settled[o] && !w.mood.noAhead {
			c.ahead = append(c.ahead, o)
		}
	}
	if p.owner != nil {
		if g, ok := p.owner.Guard(); ok {
			c.guard = &g
			if w.mood.noAhead && w.mood.notes {
				c.note = p.owner.Noted()
			}
		}
		p.takeNote(c.offset)
	}
	p.out = c
}

// takeNote writes what the commit has no room for.
func (p *proc) takeNote(from int64) {
	if !p.w.mood.noAhead || !p.w.mood.notes {
		return
	}
	body := ProgressBody{UpTo: int64(len(p.w.keys))}
	for o := from; o < body.UpTo; o++ {
		if n := len(body.Ahead); p.settled[o] && n > 0 && body.Ahead[n-1].To == o {
			body.Ahead[n-1].To++
		} else if p.settled[o] {
			body.Ahead = append(body.Ahead, Span{o, o + 1})
		}
	}
	if len(body.Ahead) > 0 {
		if actions, ok := p.owner.Note(body); ok {
			p.w.notes++
			p.do(actions)
		}
	}
}

// turn hands records of a key on.
func (p *proc) turn(l *laneOf) {
	if p.token == 0 || p.needGrant || p.stopped || len(l.queue) == 0 {
		return
	}
	if l.queue[0] == 0 && p.w.steps < p.w.mood.hold && !p.w.fixed {
		return
	}
	if p.owner != nil && !p.owner.Open() {
		return
	}
	id := ID([]byte(p.w.keys[l.queue[0]]))
	alone := p.owner != nil && l.live > 0 && l.live == l.asked // the owner has none of them
	word, said := p.words[l.queue[0]]
	switch {
	case l.busy:
	case alone && l.stuck && said:
		delete(p.words, l.queue[0])
		p.obey(l, word)
	case alone && p.owner.Paused(id):
		o := l.queue[0]
		l.asked, l.live = 1, 0
		p.arrive(o, false)
	case l.live > 0:
		l.busy = true
		p.runs = append(p.runs, exec{l.queue[0], p.token, true})
	case p.owner == nil:
		l.live = 1
	case l.asked < len(l.queue) && l.asked < 3:
		n := 1
		if p.w.mood.together {
			n += p.w.rng.IntN(min(3, len(l.queue)) - l.asked)
		}
		from := l.asked
		l.asked += n
		p.follow(l.queue[from:l.asked])
	}
}

// obey does what an operator wants of the blocked head of a key.
func (p *proc) obey(l *laneOf, a Ask) {
	l.asked, l.live = 1, 0
	p.w.words++
	if a.Command.Verb == Park {
		p.arrive(a.Offset, true)
		return
	}
	p.do(p.owner.Arrive(Item{Key: a.Key, Offset: a.Offset, Body: &ParkedBody{}, Skip: a.Command}))
}

func (p *proc) arrive(o int64, failed bool) {
	key := []byte(p.w.keys[o])
	body := &ParkedBody{}
	if failed {
		body.Failure = Failure{Cause: "bad", Permanent: true, Attempts: 1}
	}
	p.do(p.owner.Arrive(Item{Key: key, Offset: o, Body: body, Failed: failed}))
}

// follow hands records that have not failed over together.
func (p *proc) follow(offsets []int64) {
	if len(offsets) == 1 {
		p.arrive(offsets[0], false)
		return
	}
	var run RunBody
	for _, o := range offsets {
		run.Records = append(run.Records, Follower{Offset: o})
	}
	p.do(p.owner.Follow([]byte(p.w.keys[offsets[0]]), run))
}

func (p *proc) settle(o int64) {
	l := p.lane(o)
	if len(l.queue) == 0 || l.queue[0] != o {
		p.w.violate("settled out of turn: %d of %v", o, l.queue)
		return
	}
	l.queue, l.asked, l.live, l.stuck = l.queue[1:], max(l.asked-1, 0), max(l.live-1, 0), false
	p.settled[o] = true
}

// finish lets a handler return.
func (p *proc) finish(i int) {
	w := p.w
	x := p.runs[i]
	p.runs = slices.Delete(p.runs, i, i+1)
	fails := !w.fixed && (w.bad[x.o] && w.steps < w.mood.mend || w.rng.IntN(w.mood.luck) == 0)
	good := !fails && w.apply(x.token, x.o)
	w.say("p%d handles %d (token %d): %t", p.n, x.o, x.token, good)
	if !x.live {
		var f *Failure
		if !good {
			f = &Failure{Cause: "bad again", Permanent: true}
		}
		p.do(p.owner.Ended([]byte(w.keys[x.o]), x.o, f))
		return
	}
	l := p.lane(x.o)
	l.busy = false
	switch {
	case good:
		p.settle(x.o)
	case fails && w.mood.block:
		l.stuck = true
	case p.owner != nil && fails:
		l.asked, l.live = 1, 0
		p.arrive(x.o, true)
	}
}

// do carries out what the owner wants.
func (p *proc) do(actions []Action) {
	w := p.w
	for _, a := range actions {
		switch a := a.(type) {
		case Write:
			e := *a.Entry
			if a.From >= 0 {
				if a.From < w.start {
					// Read too late: only of a process that was replaced.
					if p.gen == w.gen {
						w.violate("the payload at %d is needed and deleted", a.From)
					}
					continue
				}
				e = *Complete(&e, w.log[a.From].entry)
			}
			w.flight = append(w.flight, &flying{proc: p, write: &a, entry: &e})
		case Settle:
			w.say("p%d settles %d of those from %d on", p.n, a.N, a.Offset)
			for o, l := a.Offset, p.lane(a.Offset); a.N > 0; a.N-- {
				if p.settle(o); len(l.queue) > 0 {
					o = l.queue[0]
				}
			}
		case Live:
			p.lane(a.Offset).live += a.N
			// A pause that is answered in the same breath may come after this one.
			if s := p.owner.state; s.whole != nil || s.held[ID([]byte(w.keys[a.Offset]))] != nil {
				w.violate("%d goes to its handler while its key is paused", a.Offset)
			}
		case Block:
			l := p.lane(a.Offset)
			l.live++
		case Run:
			p.runs = append(p.runs, exec{a.Offset, p.token, false})
			if s := p.owner.state; s.whole != nil || s.held[a.ID] != nil { // as above
				w.violate("%d is released while its key is paused", a.Offset)
			}
		case Probe:
			e := *a.Entry
			w.flight = append(w.flight, &flying{proc: p, write: &Write{ID: a.ID, Entry: &e, From: -1}, entry: &e})
		case NeedToken:
			w.say("p%d needs a token: %s", p.n, a.Reason)
			p.needGrant = true
		case Delete:
			w.flight = append(w.flight, &flying{proc: p, before: a.Before})
		case Ask:
			if a.Command.Verb == Retry {
				p.do(p.owner.Answer(a.Command.ID, Done, "tried again"))
				continue
			}
			p.words[a.Offset] = a // until it has failed, or is settled
		case Skipped:
			w.say("p%d: %d is skipped", p.n, a.Offset)
		case Commit:
		}
	}
}
