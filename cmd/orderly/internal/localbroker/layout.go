package localbroker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kfake's files, as of persistVersion. A test compares what is written here with
// what kfake itself writes, so that a new kfake with another format is noticed.
const (
	persistVersion = 1

	metaName       = "meta.json"
	topicsName     = "topics.json"
	pidsName       = "pids.log"
	groupsName     = "groups.log"
	windowsName    = "seq_windows.json"
	partitionsName = "partitions"
	snapshotName   = "snapshot.json"
	segmentSuffix  = ".dat"
	indexSuffix    = ".idx"
)

type metaFile struct {
	Version   int    `json:"version"`
	ClusterID string `json:"cluster_id"`
}

type topicsFile struct {
	Version int         `json:"version"`
	Topics  []topicFile `json:"topics"`
}

type topicFile struct {
	Name       string            `json:"name"`
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

func (t topicFile) compacted() bool {
	return strings.Contains(t.Configs["cleanup.policy"], "compact")
}

// A partitionDir is one partition's files.
type partitionDir struct {
	topic     string
	partition int32
	path      string
	segments  []segmentFile // by base offset
}

func (p *partitionDir) String() string { return fmt.Sprintf("%s-%d", p.topic, p.partition) }

type segmentFile struct {
	path string
	base int64
	size int64
}

func (s segmentFile) indexPath() string {
	return strings.TrimSuffix(s.path, segmentSuffix) + indexSuffix
}

// A dataDir is what is in the directory, before anything is repaired.
type dataDir struct {
	path       string
	fresh      bool // no broker has ever written to it
	clusterID  string
	topics     []topicFile
	partitions []*partitionDir
	orphans    []string // partition directories of no known topic
	bytes      int64    // in segments
}

// readDataDir lists what is there. It reads no records.
func readDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path}
	var meta metaFile
	switch found, err := readJSON(filepath.Join(path, metaName), &meta); {
	case err != nil:
		return nil, err
	case !found:
		d.fresh = true
		return d, d.refuseForeign()
	case meta.Version != persistVersion:
		return nil, fmt.Errorf("%s has format %d, this version of orderly knows %d: use the version that wrote it", metaName, meta.Version, persistVersion)
	}
	d.clusterID = meta.ClusterID
	var topics topicsFile
	if _, err := readJSON(filepath.Join(path, topicsName), &topics); err != nil {
		return nil, err
	}
	d.topics = topics.Topics
	slices.SortFunc(d.topics, func(a, b topicFile) int { return cmp.Compare(a.Name, b.Name) })
	return d, d.listPartitions()
}

// refuseForeign keeps a broker out of a directory that holds something else.
func (d *dataDir) refuseForeign() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == lockName, name == markerName, strings.HasSuffix(name, ".tmp"):
		default:
			return fmt.Errorf("it holds %q and no broker's data: give an empty or a new directory", name)
		}
	}
	return nil
}

func (d *dataDir) listPartitions() error {
	root := filepath.Join(d.path, partitionsName)
	known := make(map[string]*partitionDir)
	for _, t := range d.topics {
		for p := range t.Partitions {
			name := fmt.Sprintf("%s-%d", url.PathEscape(t.Name), p)
			pd := &partitionDir{topic: t.Name, partition: p, path: filepath.Join(root, name)}
			known[name] = pd
			d.partitions = append(d.partitions, pd)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		pd := known[e.Name()]
		if pd == nil {
			d.orphans = append(d.orphans, filepath.Join(root, e.Name()))
			continue
		}
		if err := pd.listSegments(); err != nil {
			return err
		}
		for _, s := range pd.segments {
			d.bytes += s.size
		}
	}
	return nil
}

func (p *partitionDir) listSegments() error {
	entries, err := os.ReadDir(p.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		base, err := strconv.ParseInt(name, 10, 64)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		p.segments = append(p.segments, segmentFile{filepath.Join(p.path, e.Name()), base, info.Size()})
	}
	slices.SortFunc(p.segments, func(a, b segmentFile) int { return cmp.Compare(a.base, b.base) })
	return nil
}

func readJSON(path string, v any) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return true, nil
}
