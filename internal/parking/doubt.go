package parking

// A write without a known outcome may land at any time. It is not sent again under its
// token, and no other follows it: what depends on the topic waits, which is the keys at
// work, and all others go on. A new token ends the doubt, and the partition stands still
// until its marker is read back; so one is asked for only when the topic takes writes
// again. A probe finds that out: our marker once more, which says nothing new wherever
// it lands. It has a number of its own and is none of the writes that are read back.
const probe = 0

// doubt takes a write of unknown outcome.
func (o *Owner) doubt(id WriteID) {
	if !o.Open() {
		o.needToken("a write to the parking topic has no known outcome")
		return
	}
	first := len(o.doubtful) == 0
	if first {
		o.doubtful = make(map[int64]bool)
	}
	o.doubtful[id.Seq] = true
	if first {
		o.probe(id.Token)
	}
}

// probe asks for the next probe of a token, while there is a doubt.
func (o *Owner) probe(token int64) {
	if token == o.token && !o.stale && len(o.doubtful) > 0 {
		o.emit(Probe{WriteID{token, probe}, &Entry{Kind: KindMarker, Token: token, Seq: probe, Marker: &o.self}})
	}
}

// probed: the topic takes writes.
func (o *Owner) probed(id WriteID) {
	if id.Token == o.token && len(o.doubtful) > 0 {
		o.needToken("a write to the parking topic has no known outcome")
	}
}

// cleared takes a write out of those in doubt: it was read back. It reports whether that
// was the last one.
func (o *Owner) cleared(seq int64) bool {
	if !o.doubtful[seq] {
		return false
	}
	delete(o.doubtful, seq)
	return len(o.doubtful) == 0
}

// InDoubt reports whether a write has no known outcome, so that no other is sent.
func (o *Owner) InDoubt() bool { return len(o.doubtful) > 0 }
