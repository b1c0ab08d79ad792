package proxy

// The three messages that carry records, or answer for them, are walked on their
// bytes: they are the many and the large ones.

// A part is what a produce request has for one partition.
type part struct {
	topic     string // "" when only its id is known
	partition int32
	records   []byte // within the frame
}

// A written is a walked produce request.
type written struct {
	txn   []byte
	acks  int16
	parts []part
}

// walkProduce walks a produce request; named gives the name of a topic's id.
func walkProduce(r *request, named func([16]byte) string) (w written, err error) {
	c := cursor{buf: r.frame, at: r.body}
	flex := r.flexible()
	if r.version >= 3 {
		w.txn = c.text(flex)
	}
	w.acks = c.int16()
	c.skip(4) // timeout
	for n := c.count(flex); n > 0 && !c.bad; n-- {
		topic := topicOf(&c, r.version >= 13, flex, named)
		for m := c.count(flex); m > 0 && !c.bad; m-- {
			p := part{topic: topic, partition: c.int32(), records: c.bytes(flex)}
			c.tags(flex)
			w.parts = append(w.parts, p)
		}
		c.tags(flex)
	}
	c.tags(flex)
	return w, c.err()
}

func topicOf(c *cursor, byID, flex bool, named func([16]byte) string) string {
	if byID {
		return named(c.uuid())
	}
	return string(c.text(flex))
}

// A receipt is what a produce answer says of one partition; code and offset can be
// written over.
type receipt struct {
	topic        string
	partition    int32
	code, offset []byte
}

// walkReceipts walks a produce answer. It gives the place of the tagged fields at
// its end, where brokers' addresses are.
func walkReceipts(r *request, frame []byte, named func([16]byte) string) (all []receipt, tags int, err error) {
	c := cursor{buf: frame, at: max(r.answerBody(frame), 0)}
	flex := r.flexible()
	for n := c.count(flex); n > 0 && !c.bad; n-- {
		topic := topicOf(&c, r.version >= 13, flex, named)
		for m := c.count(flex); m > 0 && !c.bad; m-- {
			rc := receipt{topic: topic, partition: c.int32(), code: c.span(2), offset: c.span(8)}
			if r.version >= 2 {
				c.skip(8) // log append time
			}
			if r.version >= 5 {
				c.skip(8) // log start offset
			}
			if r.version >= 8 {
				for k := c.count(flex); k > 0 && !c.bad; k-- { // records that are at fault
					c.skip(4)
					c.text(flex)
					c.tags(flex)
				}
				c.text(flex)
			}
			c.tags(flex)
			all = append(all, rc)
		}
		c.tags(flex)
	}
	if r.version >= 1 {
		c.skip(4) // throttle
	}
	tags = c.at
	c.tags(flex)
	return all, tags, c.err()
}

// walkFetched walks a fetch answer, and gives what visit wants to see. It gives the
// place of the tagged fields at its end.
func walkFetched(r *request, frame []byte, named func([16]byte) string, visit func(part)) (tags int, err error) {
	c := cursor{buf: frame, at: max(r.answerBody(frame), 0)}
	flex := r.flexible()
	if r.version >= 1 {
		c.skip(4) // throttle
	}
	if r.version >= 7 {
		c.skip(6) // error, session
	}
	for n := c.count(flex); n > 0 && !c.bad; n-- {
		topic := topicOf(&c, r.version >= 13, flex, named)
		for m := c.count(flex); m > 0 && !c.bad; m-- {
			p := part{topic: topic, partition: c.int32()}
			c.skip(10) // error, high watermark
			if r.version >= 4 {
				c.skip(8) // last stable offset
			}
			if r.version >= 5 {
				c.skip(8) // log start offset
			}
			if r.version >= 4 {
				for k := c.count(flex); k > 0 && !c.bad; k-- { // aborted transactions
					c.skip(16)
					c.tags(flex)
				}
			}
			if r.version >= 11 {
				c.skip(4) // preferred replica
			}
			p.records = c.bytes(flex)
			c.tags(flex)
			if len(p.records) > 0 && !c.bad {
				visit(p)
			}
		}
		c.tags(flex)
	}
	tags = c.at
	c.tags(flex)
	return tags, c.err()
}
