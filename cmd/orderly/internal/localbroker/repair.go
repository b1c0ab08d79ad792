package localbroker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A repair makes good, after an unclean end, what kfake would read wrongly. Each
// step can be done again: a repair that is cut off begins anew at the next start.
//
// It runs before kfake opens the directory: kfake reads all of this once, when
// it loads.
type repair struct {
	dir *dataDir

	windows []*seqWindow
	plain   map[int64]int16
	commits map[topicPartition]commit

	batches int
	indexes int // .idx files written anew
	torn    int // segments and logs that ended in the middle of an entry
	added   int // producers that pids.log did not know
	moved   []string
	risks   []string
}

// skipRepair is set by a test that shows what kfake does on its own.
var skipRepair bool

// run does all steps. The order matters to none of them.
func (r *repair) run(ctx context.Context) error {
	if err := r.moveOrphans(); err != nil {
		return err
	}
	entries, good, size, err := readLog(filepath.Join(r.dir.path, groupsName))
	if err != nil {
		return err
	}
	r.commits = highestCommits(entries)
	if err := r.mend(groupsName, good, size, nil); err != nil {
		return err
	}
	r.plain = make(map[int64]int16)
	for _, p := range r.dir.partitions {
		if err := r.partition(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if err := r.producers(); err != nil {
		return err
	}
	b, err := encodeWindows(r.windows)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(r.dir.path, windowsName), b)
}

// moveOrphans takes partitions of no known topic out of the way. A topic made
// later under the same name would write behind their batches and read them at
// positions that do not fit.
func (r *repair) moveOrphans() error {
	for _, from := range r.dir.orphans {
		root := filepath.Join(r.dir.path, "orphaned-"+time.Now().UTC().Format("20060102T150405.000Z"))
		if err := os.MkdirAll(root, 0o755); err != nil {
			return err
		}
		to := filepath.Join(root, filepath.Base(from))
		if err := os.Rename(from, to); err != nil {
			return err
		}
		r.moved = append(r.moved, to)
	}
	if len(r.moved) == 0 {
		return nil
	}
	return syncDir(r.dir.path)
}

func (r *repair) mend(name string, good, size int64, add []byte) error {
	if good < size {
		r.torn++
	}
	return mendLog(filepath.Join(r.dir.path, name), good, size, add)
}

func (r *repair) partition(ctx context.Context, p *partitionDir) error {
	l := newPartitionLog(p)
	var index indexBuilder
	for _, s := range p.segments {
		index.next()
		end, err := scanSegment(s, func(b *kmsg.RecordBatch) error {
			l.add(b)
			index.add(b)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		if end.good < s.size {
			kept, err := s.cut(end)
			if err != nil {
				return err
			}
			if end.damaged {
				r.risks = append(r.risks, fmt.Sprintf("%s: %d bytes behind offset %d are damaged and may have held acknowledged records; they were cut off and kept as %s",
					p, s.size-end.good, l.end, kept))
			} else {
				r.torn++
			}
		}
		written, err := index.repair(s.indexPath())
		if err != nil {
			return err
		}
		if written {
			r.indexes++
		}
	}
	r.batches += l.batches
	for _, w := range l.windows {
		r.windows = append(r.windows, w)
	}
	for pid, epoch := range l.plain {
		r.plain[pid] = max(r.plain[pid], epoch)
	}
	r.nameRisks(p, l)
	return nil
}

// producers makes sure that kfake knows each producer that has a window.
func (r *repair) producers() error {
	entries, good, size, err := readLog(filepath.Join(r.dir.path, pidsName))
	if err != nil {
		return err
	}
	add, n, err := missingPIDs(replayPIDs(entries), r.plain)
	if err != nil {
		return err
	}
	r.added = n
	return r.mend(pidsName, good, size, add)
}

// summary is one line for a person.
func (r *repair) summary(took time.Duration) string {
	producers := make(map[int64]bool)
	for _, w := range r.windows {
		producers[w.PID] = true
	}
	var b strings.Builder
	fmt.Fprintf(&b, "checked %s of %s in %s: %s can go on where they were", plural.Of(r.batches, "batch"), plural.Of(len(r.dir.partitions), "partition"),
		took.Round(time.Millisecond), plural.Of(len(producers), "producer"))
	if r.torn > 0 {
		fmt.Fprintf(&b, "; %s that ended in the middle of a write (never acknowledged) cut to the last whole entry", plural.Of(r.torn, "file"))
	}
	if r.indexes > 0 {
		fmt.Fprintf(&b, "; %s written anew", plural.Of(r.indexes, "index"))
	}
	if r.added > 0 {
		fmt.Fprintf(&b, "; %s added to the broker's list", plural.Of(r.added, "producer"))
	}
	return b.String()
}
