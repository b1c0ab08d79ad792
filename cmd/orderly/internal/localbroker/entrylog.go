package localbroker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// kfake's append logs: length, checksum and version before each JSON entry.
const frameHeader = 10

// readLog returns the entries up to the first that is not whole, and how many
// bytes they are. A log that is not there is empty.
func readLog(path string) (entries [][]byte, good, size int64, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, 0, nil
	} else if err != nil {
		return nil, 0, 0, err
	}
	size = int64(len(raw))
	for len(raw) >= frameHeader {
		length := int64(binary.LittleEndian.Uint32(raw))
		if length < 2 || 8+length > int64(len(raw)) {
			break
		}
		body := raw[8 : 8+length]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(raw[4:]) {
			break
		}
		if v := binary.LittleEndian.Uint16(body); v != persistVersion {
			return nil, 0, 0, fmt.Errorf("%s has an entry of format %d, this version of orderly knows %d: use the version that wrote it",
				filepath.Base(path), v, persistVersion)
		}
		entries = append(entries, body[2:])
		good += 8 + length
		raw = raw[8+length:]
	}
	return entries, good, size, nil
}

func frame(data []byte) []byte {
	b := make([]byte, frameHeader, frameHeader+len(data))
	binary.LittleEndian.PutUint16(b[8:], persistVersion)
	b = append(b, data...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// mendLog ends the log behind its last whole entry, and adds some. kfake reads
// up to a torn entry but writes behind it, where the next start cannot read.
func mendLog(path string, good, size int64, add []byte) error {
	if good == size && len(add) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if good < size {
		err = f.Truncate(good)
	}
	if err == nil && len(add) > 0 {
		_, err = f.WriteAt(add, good)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

type pidEntry struct {
	Type  string `json:"type"`
	PID   int64  `json:"pid"`
	Epoch int16  `json:"epoch"`
	TxID  string `json:"txid,omitempty"`
}

type producerState struct {
	epoch         int16
	transactional bool
}

// replayPIDs reads which producers kfake knows, as it will when it loads.
func replayPIDs(entries [][]byte) map[int64]producerState {
	known := make(map[int64]producerState)
	for _, raw := range entries {
		var e pidEntry
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		s, ok := known[e.PID]
		switch {
		case e.Type == "init":
			known[e.PID] = producerState{e.Epoch, e.TxID != ""}
		case ok && (e.Type == "endtx" || e.Type == "timeout"):
			s.epoch = e.Epoch
			known[e.PID] = s
		}
	}
	return known
}

// missingPIDs makes entries for producers that wrote and are not in the log, or
// not with their highest epoch: kfake does not log what a producer does without
// asking (a number from another broker's time, an epoch that the client raised
// after an error), and uses no window of a producer that it does not know.
// Transactional ones are always logged, and forgotten on purpose.
func missingPIDs(known map[int64]producerState, plain map[int64]int16) (add []byte, n int, err error) {
	for _, pid := range slices.Sorted(maps.Keys(plain)) {
		s, ok := known[pid]
		if ok && (s.transactional || s.epoch >= plain[pid]) {
			continue
		}
		b, err := json.Marshal(pidEntry{Type: "init", PID: pid, Epoch: plain[pid]})
		if err != nil {
			return nil, 0, err
		}
		add = append(add, frame(b)...)
		n++
	}
	return add, n, nil
}

type groupEntry struct {
	Type      string `json:"type"`
	Group     string `json:"g"`
	Topic     string `json:"t"`
	Partition int32  `json:"p"`
	Offset    int64  `json:"o"`
}

type topicPartition struct {
	topic     string
	partition int32
}

type commit struct {
	group  string
	offset int64
}

// highestCommits returns the furthest commit of each partition.
func highestCommits(entries [][]byte) map[topicPartition]commit {
	type key struct {
		topicPartition
		group string
	}
	last := make(map[key]int64)
	for _, raw := range entries {
		var e groupEntry
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		k := key{topicPartition{e.Topic, e.Partition}, e.Group}
		switch e.Type {
		case "commit":
			last[k] = e.Offset
		case "delete":
			delete(last, k)
		}
	}
	high := make(map[topicPartition]commit)
	for k, offset := range last {
		if have, ok := high[k.topicPartition]; !ok || offset > have.offset || offset == have.offset && k.group < have.group {
			high[k.topicPartition] = commit{k.group, offset}
		}
	}
	return high
}
