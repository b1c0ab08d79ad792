package kafkatest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Below the ports that systems hand out for outgoing connections: there, some
// client of a test would sooner or later sit on the port of a node that restarts.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freeAddrs are loopback addresses that nobody listened on just now. They can be
// lost again before a node has bound them.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range 1000 {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		// Held until all are found, so that none is found twice.
		defer l.Close()
		addrs = append(addrs, addr)
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}
