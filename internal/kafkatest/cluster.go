package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options say what to start. The zero value is one node of the latest version.
type Options struct {
	Version string // default Latest
	// Jars is the folder of Kafka's jars, as the libs of a download, instead of those of
	// the Version.
	Jars  string
	Nodes int // 1 or 3; default 1

	// Dir takes data, configuration and logs. By default a temporary folder,
	// which Close removes.
	Dir string

	// Properties are added to each node's, and win over them.
	Properties map[string]string

	// Listeners are further ones by name, with their security protocol: the
	// plain one always stays, for the brokers among each other. What they need
	// (ssl.keystore.location, ...) goes into Properties.
	Listeners map[string]string

	Format []string // further arguments of the storage tool, as --add-scram
	JVM    []string // replaces the JVM's arguments, which suit short tests

	free func(n int) ([]string, error) // freeAddrs, except in tests
}

// A Cluster is running Kafka. Its nodes are 1, 2, 3: the ids that clients see.
// Its methods may be called from several goroutines.
type Cluster struct {
	opts      Options
	jars      string
	dir       string
	temporary bool // dir is ours to remove

	mu    sync.Mutex
	nodes []*node
}

type node struct {
	id         int
	dir        string
	addr       string            // of the plain listener
	controller string            // of the quorum's
	extra      map[string]string // of the further listeners, by name
	proc       *process
	down       bool // it was ended by us
}

func (n *node) data() string   { return filepath.Join(n.dir, "data") }
func (n *node) config() string { return filepath.Join(n.dir, "node.properties") }
func (n *node) log() string    { return filepath.Join(n.dir, "output.log") }

const (
	startAttempts = 5               // each with other ports
	startLimit    = 3 * time.Minute // for one attempt; three nodes take 10 s here
	stopLimit     = 30 * time.Second
)

// Start returns when every node says that all nodes are alive. Close the cluster.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Version == "" {
		opts.Version = Latest
	}
	if opts.Nodes == 0 {
		opts.Nodes = 1
	}
	if opts.Nodes != 1 && opts.Nodes != 3 {
		return nil, fmt.Errorf("kafkatest: %d nodes: want 1 or 3", opts.Nodes)
	}
	if opts.free == nil {
		opts.free = freeAddrs
	}
	jars, err := opts.Jars, error(nil)
	if jars == "" {
		if jars, err = Jars(ctx, opts.Version); err != nil {
			return nil, fmt.Errorf("kafkatest: %w", err)
		}
	}
	c := &Cluster{opts: opts, jars: jars, dir: opts.Dir}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "orderly-kafka-"); err != nil {
			return nil, err
		}
		c.temporary = true
	}
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("kafkatest: starting Kafka %s: %w", opts.Version, err), c.discard())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	for range startAttempts {
		if err = c.tryStart(ctx); err == nil {
			return nil
		}
		lost := slices.ContainsFunc(c.nodes, func(n *node) bool { return n.proc != nil && n.proc.lostPort() })
		if !lost || ctx.Err() != nil {
			return err
		}
		for _, n := range c.nodes {
			if err := errors.Join(n.kill(), os.RemoveAll(n.dir)); err != nil {
				return err
			}
		}
	}
	return err
}

func (c *Cluster) tryStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not up after %s", startLimit))
	defer cancel()
	if err := c.layout(); err != nil {
		return err
	}
	if err := c.format(ctx); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := c.launch(n); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.await(ctx, c.opts.Nodes); err != nil {
			return err
		}
	}
	return nil
}

// layout chooses the nodes' addresses and writes their files.
func (c *Cluster) layout() error {
	perNode := 2 + len(c.opts.Listeners)
	addrs, err := c.opts.free(c.opts.Nodes * perNode)
	if err != nil {
		return err
	}
	c.nodes = nil
	for id := 1; id <= c.opts.Nodes; id++ {
		n := &node{id: id, dir: filepath.Join(c.dir, "node-"+strconv.Itoa(id)), extra: make(map[string]string)}
		n.addr, n.controller, addrs = addrs[0], addrs[1], addrs[2:]
		for name := range c.opts.Listeners {
			n.extra[name], addrs = addrs[0], addrs[1:]
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes { // each names all the others' addresses
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(n.config(), c.properties(n), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// format makes the nodes' storage, at once for all: each is a JVM's start.
func (c *Cluster) format(ctx context.Context) error {
	id := clusterID()
	var tools []*process
	for _, n := range c.nodes {
		args := append([]string{"format", "-t", id, "-c", n.config()}, c.opts.Format...)
		tool, err := startJVM(c.jars, n.log(), c.jvm(), "kafka.tools.StorageTool", args...)
		if err != nil {
			return err
		}
		defer tool.kill() //nolint:errcheck // it has ended, unless we gave up
		tools = append(tools, tool)
	}
	for _, tool := range tools {
		select {
		case <-tool.done:
			if tool.err != nil {
				return fmt.Errorf("formatting its storage: %w%s", tool.err, tool.tail())
			}
		case <-ctx.Done():
			return fmt.Errorf("formatting its storage: %w%s", context.Cause(ctx), tool.tail())
		}
	}
	return nil
}

// clusterID is 16 bytes in base64 without padding; the tools would take one with a
// leading dash for an option.
func clusterID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *Cluster) jvm() []string {
	if c.opts.JVM != nil {
		return c.opts.JVM
	}
	return defaultJVM
}

func (c *Cluster) launch(n *node) (err error) {
	n.proc, err = startJVM(c.jars, n.log(), c.jvm(), "kafka.Kafka", n.config())
	if err != nil {
		n.proc = nil
	}
	n.down = err != nil
	return err
}

// await waits until the node answers, and knows of at least so many live ones,
// itself among them.
func (n *node) await(ctx context.Context, live int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ids, err := liveBrokers(ctx, n.addr)
		if err == nil && len(ids) >= live && slices.Contains(ids, n.id) {
			return nil
		}
		select {
		case <-n.proc.done:
			return fmt.Errorf("node %d: %w", n.id, n.proc.ended())
		case <-ctx.Done():
			return fmt.Errorf("node %d: %w (it says %v, %v)%s", n.id, context.Cause(ctx), ids, err, n.proc.tail())
		case <-tick.C:
		}
	}
}

// Close ends what still runs, at once, and removes a temporary Dir. It fails when
// a node had ended by itself.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, n := range c.nodes {
		if !n.down && !n.proc.running() {
			errs = append(errs, fmt.Errorf("kafkatest: node %d: %w", n.id, n.proc.ended()))
		}
	}
	return errors.Join(append(errs, c.discard())...)
}

func (c *Cluster) discard() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.kill())
	}
	if c.temporary {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
