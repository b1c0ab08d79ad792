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
		return clampVersions(r, frame)
	case apiSASLHandshake:
		return c.p.withoutKerberos(r, frame)
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
	if p := e.plan; p != nil {
		if p.edit != nil {
			if frame, err = p.edit(frame); err != nil {
				return nil, err
			}
		}
		if !p.replay {
			c.p.engine.done(p.hit)
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
		if p := e.plan; p != nil && p.hit.Answer == nil && rc.topic == p.topic && rc.partition == p.partition {
			p.hit.Answer = &code
			if p.replay && code != 0 {
				p.replay = false // there is nothing to say twice
				p.hit.Note = "the broker refused it at the first time"
			}
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
