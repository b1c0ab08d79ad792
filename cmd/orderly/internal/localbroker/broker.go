package localbroker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/internal/embedded"
	"github.com/twmb/franz-go/pkg/kfake"
)

// A Broker serves a directory until it is closed.
type Broker struct {
	cluster *embedded.Cluster
	dir     string
	addr    string
	log     *brokerLog
	lock    *dirLock
	close   func() error
}

// Open takes the directory, repairs it when its last end was not clean, and
// serves it. It fails with an InUseError when another process has it. ctx ends
// only the start.
func Open(ctx context.Context, o Options) (*Broker, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, &DataError{o.Dir, "making it", err}
	}
	lock, err := lockDir(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	b, err := open(ctx, o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return b, nil
}

func open(ctx context.Context, o Options, lock *dirLock) (*Broker, error) {
	me := holder{PID: os.Getpid(), Started: time.Now().Truncate(time.Second), Call: o.call}
	if err := lock.tell(me); err != nil {
		return nil, &DataError{o.Dir, "writing its lock file", err}
	}
	// The port comes first: a start that fails for it should not repair for
	// minutes before it says so.
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, &ListenError{o.Listen, err}
	}
	d, err := prepare(ctx, o)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	b := &Broker{dir: o.Dir, addr: ln.Addr().String(), lock: lock, log: newBrokerLog(o.Log)}
	b.close = sync.OnceValue(b.end)
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.ClusterID(d.clusterID), kfake.WithLogger(b.log),
		kfake.DataDir(o.Dir), kfake.SyncWrites(),
		// kfake listens on 127.0.0.1 only, and tells clients the address of the
		// listener that it got: giving it ours is the way to choose both.
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
	}
	if o.AutoCreate {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if b.cluster, err = embedded.New(opts...); err != nil {
		return nil, errors.Join(&DataError{o.Dir, "loading it", err}, ignoreClosed(ln.Close()))
	}
	me.Address, me.ClusterID = b.addr, d.clusterID
	if err := lock.tell(me); err != nil {
		b.cluster.Close()
		return nil, &DataError{o.Dir, "writing its lock file", err}
	}
	if notLoopback(ln.Addr()) {
		o.Notice(fmt.Sprintf("%s is open to other machines, without passwords and without encryption: whoever reaches it reads and writes all", b.addr))
	}
	return b, nil
}

// prepare makes the directory fit to be loaded, and marks it as in use.
func prepare(ctx context.Context, o Options) (*dataDir, error) {
	d, err := readDataDir(o.Dir)
	if err != nil {
		return nil, &DataError{o.Dir, "reading it", err}
	}
	clean, err := endedCleanly(o.Dir)
	if err != nil {
		return nil, &DataError{o.Dir, "reading how it ended", err}
	}
	switch {
	case d.fresh:
		d.clusterID = idPrefix + rand.Text()
	case clean:
	case skipRepair:
	default:
		o.Notice("the last broker here was not ended cleanly (killed, or the machine stopped): checking its data")
		start := time.Now()
		r := repair{dir: d}
		if err := r.run(ctx); err != nil {
			return nil, &DataError{o.Dir, "repairing it after an unclean end", err}
		}
		o.Notice(r.summary(time.Since(start)))
		for _, to := range r.moved {
			o.Notice("data of a topic that is not known any more was moved to " + to)
		}
		for _, risk := range r.risks {
			o.Notice("not repairable: " + risk)
		}
	}
	for _, risk := range d.standingRisks() {
		o.Notice("risk: " + risk)
	}
	// Last: a start that fails above finds the same again.
	if err := removeMarker(o.Dir); err != nil {
		return nil, &DataError{o.Dir, "marking it as in use", err}
	}
	return d, nil
}

// Addr is where clients connect: host:port.
func (b *Broker) Addr() string { return b.addr }

// Dir is the directory that is served.
func (b *Broker) Dir() string { return b.dir }

// EnsureTopics makes the topics that are not there. One that is there with
// another number of partitions is refused: growing it would move keys to other
// partitions, and their order with them.
func (b *Broker) EnsureTopics(topics ...Topic) error {
	for _, t := range topics {
		if have := len(b.cluster.PartitionInfos(t.Name)); have == int(t.Partitions) {
			continue
		} else if have > 0 {
			return &UsageError{"--topic", fmt.Sprintf("%s:%d", t.Name, t.Partitions),
				fmt.Sprintf("the topic is there with %s, and another number would move its keys: ask for %s:%d, or choose another name",
					plural.Of(have, "partition"), t.Name, have)}
		}
		if err := b.cluster.CreateTopic(t.Name, t.Partitions, nil); err != nil {
			return &DataError{b.dir, "creating topic " + t.Name, err}
		}
	}
	return nil
}

// Close ends the broker: clients lose their connections, and its state is
// saved. After an error the next start checks and repairs, as after a kill.
func (b *Broker) Close() error { return b.close() }

func (b *Broker) end() error {
	b.cluster.Close()
	err := b.markClean()
	return errors.Join(err, b.lock.release())
}

func (b *Broker) markClean() error {
	if b.log.writeFailed() {
		return &DataError{b.dir, "saving its state", errors.New("not everything could be written (see the log above); acknowledged records are there, and the next start checks and repairs")}
	}
	// kfake does not sync the directories in which it made files.
	for _, dir := range []string{b.dir, filepath.Join(b.dir, partitionsName)} {
		if err := syncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return &DataError{b.dir, "saving its state", err}
		}
	}
	if err := writeMarker(b.dir); err != nil {
		return &DataError{b.dir, "marking its clean end", err}
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// idPrefix begins the id of every cluster that an embedded broker is.
const idPrefix = "orderly-"

// Is says whether a cluster with this id is an embedded broker.
func Is(clusterID string) bool { return strings.HasPrefix(clusterID, idPrefix) }
