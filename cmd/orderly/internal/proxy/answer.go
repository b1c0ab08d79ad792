package proxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// answer makes of the broker's frame what the client gets.
func (c *conn) answer(e *expect, frame []byte) ([]byte, error) {
	r := &e.r
	if e.late != nil {
		e.late(frame)
		return nil, nil
	}
	if e.raw {
		return frame, nil
	}
	var err error
	switch r.key {
	case apiVersions:
		frame, err = clampVersions(r, frame)
	case apiSASLHandshake:
		frame, err = c.p.withoutKerberos(r, frame)
	case apiProduce:
		frame, err = c.produced(e, frame)
	case apiFetch:
		frame, err = c.fetched(e, frame)
	default:
		c.p.engine.heard(r, frame)
		frame, err = rewriteAddresses(r, frame, c.p.relocate, c.p.topics.learn)
		if carriesAddresses(r.key) {
			e.facts.handed()
		}
	}
	if err != nil {
		return nil, err
	}
	if e.plan == nil {
		return frame, nil
	}
	for _, edit := range e.plan.edits {
		if frame, err = edit(frame); err != nil {
			return nil, err
		}
	}
	for _, s := range e.plan.strikes {
		if !s.replay {
			c.p.engine.finish(s)
		} else if !c.p.engine.feel(s) {
			s.replay = false
		}
	}
	return frame, nil
}

func (c *conn) produced(e *expect, frame []byte) ([]byte, error) {
	receipts, tags, err := walkReceipts(&e.r, frame, c.p.topics.name)
	if err != nil {
		return nil, err
	}
	for _, rc := range receipts {
		code := int16(binary.BigEndian.Uint16(rc.code))
		if e.plan != nil {
			e.plan.received(rc, code)
		}
		if code == 0 {
			c.p.waiting.acknowledged(rc.topic, rc.partition)
		}
	}
	if e.r.version < 10 {
		return frame, nil
	}
	return rewriteEndpoints(frame, tags, c.p.relocate)
}

// received notes the broker's answer to the batches struck.
func (p *plan) received(rc receipt, code int16) {
	for _, s := range p.strikes {
		if s.hit.Answer != nil || s.topic != rc.topic || s.partition != rc.partition {
			continue
		}
		s.hit.Answer = &code
		if s.replay && code != 0 {
			s.replay = false // there is nothing to say twice
			s.hit.Note = "the broker refused it at the first time"
		}
	}
}

func (c *conn) fetched(e *expect, frame []byte) ([]byte, error) {
	tags, err := walkFetched(&e.r, frame, c.p.topics.name, e.facts.fetched)
	if err != nil {
		return nil, err
	}
	if e.r.version >= 16 {
		if frame, err = rewriteEndpoints(frame, tags, c.p.relocate); err != nil {
			return nil, err
		}
	}
	return c.p.engine.fetched(c, &e.r, frame)
}

func carriesAddresses(key int16) bool {
	switch key {
	case apiMetadata, apiFindCoordinator, apiDescribeCluster, apiProduce, apiFetch, apiShareFetch, apiShareAcknowledge:
		return true
	}
	return false
}

// isOver reports whether an error is only the end of a connection. What a peer says
// in TLS (that it does not trust us, mostly) is more.
func isOver(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op != "remote error"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
