package localbroker

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultListen is where Kafka clients look by default.
const DefaultListen = "127.0.0.1:9092"

// Options say what to serve and where.
type Options struct {
	Dir string // made when it is not there

	// Listen is host:port; port 0 takes a free one, and that is the default.
	// Clients are sent to the address that is listened on, so it cannot be a
	// wildcard.
	Listen string

	// AutoCreate makes topics that clients ask for, with 10 partitions. A
	// mistyped name is then a new topic, so it is off by default.
	AutoCreate bool

	// Notice is told, during Open, what a user should know: that the last end
	// was not clean, what was repaired, what is at risk. May be nil.
	Notice func(line string)

	call bool // it serves for one command, and ends with that

	// Log gets the broker's warnings and errors while it runs. May be nil.
	Log *slog.Logger
}

func (o *Options) complete() error {
	if o.Dir == "" {
		return &UsageError{"--data", o.Dir, "name a directory for the broker's data"}
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if err := checkListen(o.Listen); err != nil {
		return err
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return nil
}

// checkListen refuses what clients could not be sent to. A Kafka client uses
// the first address only to ask for the broker's own, and that is the one
// listened on: 0.0.0.0 would send each client to itself.
func checkListen(address string) error {
	const flag = "--listen"
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return &UsageError{flag, address, "host:port is asked for, for example " + DefaultListen}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &UsageError{flag, address, fmt.Sprintf("port %q is no number from 0 to 65535", port)}
	} else if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return &UsageError{flag, address, fmt.Sprintf("clients are sent to this address, so it must be one that they reach: 127.0.0.1:%d, or this machine's own address in their network", n)}
	}
	return nil
}

// notLoopback tells whether others than this machine's users can connect.
func notLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || !tcp.IP.IsLoopback()
}

// A Topic is one that must be there.
type Topic struct {
	Name       string
	Partitions int32
}

// ParseTopic reads NAME:PARTITIONS.
func ParseTopic(s string) (Topic, error) {
	const flag = "--topic"
	name, parts, ok := strings.Cut(s, ":")
	if !ok {
		return Topic{}, &UsageError{flag, s, "NAME:PARTITIONS is asked for, for example orders:8"}
	}
	n, err := strconv.ParseInt(parts, 10, 32)
	if err != nil || n < 1 || n > 10_000 {
		return Topic{}, &UsageError{flag, s, fmt.Sprintf("%q partitions: a number from 1 to 10000 is asked for", parts)}
	}
	bad := strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
	if name == "" || name == "." || name == ".." || len(name) > 249 || bad >= 0 {
		return Topic{}, &UsageError{flag, s, "a topic's name has 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-', and is not '.' or '..'"}
	}
	return Topic{name, int32(n)}, nil
}
