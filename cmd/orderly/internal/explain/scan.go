package explain

import (
	"strings"
	"time"
)

const (
	// maxFindings are kept apart; what comes after is counted by its entry.
	maxFindings = 2000
	maxEvidence = 2
	// maxClients are remembered by their producer's first id.
	maxClients = 10_000
)

// Evidence is a line of the log.
type Evidence struct {
	Line int64  `json:"line"`
	Text string `json:"text"`
}

// A Finding is one thing that happened to one subject, how often, and when.
type Finding struct {
	Entry     *Entry
	Client    Client
	Facts     Facts
	Kind      string // of the verdict
	Verdict   string // what this line's own numbers say; may be empty
	Count     int64
	FirstLine int64
	LastLine  int64
	First     time.Time // zero when the log does not say
	Last      time.Time
	Evidence  []Evidence
	After     []Link
}

// A Scanner reads a log line by line, in bounded memory.
type Scanner struct {
	// Seen, when set, is told of each finding at its first time, and of its
	// repeats.
	Seen func(f *Finding)
	// Client is whose log it is, when that is known.
	Client Client

	lines      int64
	recognised int64 // events
	findings   map[string]*Finding
	order      []*Finding
	notKept    map[string]int64 // by entry
	started    map[string]bool  // clients that logged a producer id
	first      time.Time
	last       time.Time
	open       event
	headLine   int64  // of the line that an event begins with
	head       []byte // what is kept of it
}

// An event is a line with what belongs to it: the lines of a stack trace.
type event struct {
	line int64
	at   time.Time
	hits []hit
}

// NewScanner begins a log.
func NewScanner() *Scanner {
	return &Scanner{findings: map[string]*Finding{}, notKept: map[string]int64{}, started: map[string]bool{}}
}

// Line takes the next line.
func (s *Scanner) Line(raw []byte) {
	s.lines++
	bare := raw[bareAt(raw):]
	known := theMatcher.stems.any(raw)
	more := goesOn(bare) || isThrown(bare) && isTrouble(s.head)
	if known && more && hasTime(bare) {
		more = false // all lines of some logs are indented
	}
	if !more {
		s.Flush()
		s.headLine = s.lines
		s.head = append(s.head[:0], raw[:min(len(raw), timeRead)]...)
	}
	if !known {
		return
	}
	line := string(raw)
	for _, text := range unwrap(line) {
		for _, h := range theMatcher.match(text, line) {
			s.open.add(h)
		}
	}
	if len(s.open.hits) > 0 && s.open.line == 0 {
		s.open.line, s.open.at = s.headLine, when(string(s.head))
		if s.headLine == 0 { // a log that begins inside a stack trace
			s.open.line = s.lines
		}
	}
}

func (ev *event) add(h hit) {
	for i := range ev.hits {
		if ev.hits[i].entry == h.entry {
			ev.hits[i].facts.fill(h.facts)
			return
		}
	}
	if len(ev.hits) < maxHits {
		ev.hits = append(ev.hits, h)
	}
}

// Flush ends the event that is open: call it at the end of the log, and when a
// followed one pauses.
func (s *Scanner) Flush() {
	if len(s.open.hits) == 0 {
		return
	}
	ev := s.open
	s.open = event{}
	s.recognised++
	if !ev.at.IsZero() {
		if s.first.IsZero() || ev.at.Before(s.first) {
			s.first = ev.at
		}
		if ev.at.After(s.last) {
			s.last = ev.at
		}
	}
	var all Facts
	for _, h := range ev.hits {
		all.fill(h.facts)
	}
	for _, h := range ev.hits {
		if ev.yields(h.entry) {
			continue
		}
		h.facts.fill(all)
		s.count(ev, h)
	}
}

// yields says whether another hit of the event says more than this one.
func (ev *event) yields(e *Entry) bool {
	for _, h := range ev.hits {
		if contains(e.YieldsTo, h.entry.ID) || contains(e.YieldsTo, "*") && h.entry != e && !contains(h.entry.YieldsTo, "*") {
			return true
		}
	}
	return false
}

func (s *Scanner) count(ev event, h hit) {
	h.entry = s.refine(h)
	if s.Client != Unknown {
		h.client = s.Client
	}
	kind, verdict := judge(h.entry, h.facts)
	key := strings.Join([]string{h.entry.ID, kind, string(h.client), subjectKey(h.facts)}, "\x00")
	f := s.findings[key]
	if f == nil {
		if len(s.order) >= maxFindings {
			s.notKept[h.entry.ID]++
			return
		}
		f = &Finding{Entry: h.entry, Client: h.client, Facts: h.facts, Kind: kind, Verdict: verdict, FirstLine: ev.line, First: ev.at}
		s.findings[key] = f
		s.order = append(s.order, f)
	}
	f.Count++
	f.LastLine = ev.line
	if !ev.at.IsZero() {
		f.Last = ev.at
	}
	if len(f.Evidence) < maxEvidence {
		f.Evidence = append(f.Evidence, Evidence{ev.line, evidence(h.text)})
	}
	if s.Seen != nil {
		s.Seen(f)
	}
}

// subjectKey is what keeps findings of one entry apart.
func subjectKey(f Facts) string {
	parts := []string{f.Producer, f.Topic, f.Partition, f.Group, f.Member, f.Instance, f.TransactionalID}
	key := strings.Join(parts, "\x00")
	if len(key) == len(parts)-1 {
		return f.ClientID
	}
	return key
}

// refine tells a producer's start from a later new id or epoch of the same client:
// only the second is news. A transactional one has an epoch above zero from its start.
func (s *Scanner) refine(h hit) *Entry {
	if h.entry.ID != "producer-started" {
		return h.entry
	}
	who := h.facts.ClientID
	again := who != "" && s.started[who]
	if len(s.started) < maxClients {
		s.started[who] = true
	}
	if h.facts.TransactionalID == "" && (again || h.facts.Epoch != "" && h.facts.Epoch != "0") {
		return byID["sequence-reset"]
	}
	return h.entry
}
