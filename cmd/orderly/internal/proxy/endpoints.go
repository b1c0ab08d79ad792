package proxy

import "encoding/binary"

// relocate gives the address at which a client reaches a node.
type relocate func(node int32, host string, port int32) (string, int32, error)

// rewriteEndpoints rewrites the brokers' addresses among the tagged fields that end
// a Produce or Fetch answer: its field 0 (KIP-951). The rest stays as it is.
func rewriteEndpoints(frame []byte, at int, to relocate) ([]byte, error) {
	c := cursor{buf: frame, at: at}
	n := c.uvarint()
	var out []byte // nil as long as nothing has changed
	for ; n > 0 && !c.bad; n-- {
		begin := c.at
		tag := c.uvarint()
		value := c.span(c.length())
		if c.bad {
			break
		}
		if tag != 0 {
			if out != nil {
				out = append(out, frame[begin:c.at]...)
			}
			continue
		}
		nodes, err := rewriteNodes(value, to)
		if err != nil {
			return nil, err
		}
		out = append(out, frame[:begin]...)
		out = binary.AppendUvarint(out, tag)
		out = binary.AppendUvarint(out, uint64(len(nodes)))
		out = append(out, nodes...)
	}
	if c.bad {
		return nil, errShort
	}
	if out == nil {
		return frame, nil
	}
	return append(out, frame[c.at:]...), nil
}

func rewriteNodes(value []byte, to relocate) ([]byte, error) {
	c := cursor{buf: value}
	n := c.count(true)
	out := binary.AppendUvarint(nil, uint64(n+1))
	for ; n > 0 && !c.bad; n-- {
		node := c.int32()
		host := string(c.text(true))
		port := c.int32()
		rest := c.at
		c.text(true) // rack
		c.tags(true)
		if c.bad {
			break
		}
		host, port, err := to(node, host, port)
		if err != nil {
			return nil, err
		}
		out = binary.BigEndian.AppendUint32(out, uint32(node))
		out = binary.AppendUvarint(out, uint64(len(host)+1))
		out = append(out, host...)
		out = binary.BigEndian.AppendUint32(out, uint32(port))
		out = append(out, value[rest:c.at]...)
	}
	if c.bad || c.at != len(value) {
		return nil, errShort
	}
	return out, nil
}
