package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stateVersion is of the file: another one is refused.
const stateVersion = 1

// A config is what has to be the same when an audit goes on.
type config struct {
	Topic      string   `json:"topic"`
	TopicID    string   `json:"topic_id"`
	Number     string   `json:"number"`
	NoGaps     bool     `json:"no_gaps"`
	Since      string   `json:"since"`
	Partitions []int32  `json:"partitions"`
	Keys       []string `json:"keys"`
}

// differs says in what an audit is another one than the one that goes on, or "".
func (c config) differs(is config) string {
	var out []string
	tell := func(what, was, now string) {
		if was != now {
			out = append(out, fmt.Sprintf("%s was %s, and is %s now", what, was, now))
		}
	}
	or := func(text, none string) string {
		if text == "" {
			return none
		}
		return text
	}
	tell("the topic", c.Topic, is.Topic)
	if c.Topic == is.Topic && c.TopicID != is.TopicID {
		out = append(out, "the topic was deleted and made anew since")
	}
	tell("what records are judged by", c.Number, is.Number)
	if c.NoGaps != is.NoGaps {
		out = append(out, "the topic's cleanup.policy changed, or whether this user may see it")
	}
	tell("--since", or(c.Since, "not given"), or(is.Since, "not given"))
	tell("--partitions", or(strings.Trim(fmt.Sprint(c.Partitions), "[]"), "all"), or(strings.Trim(fmt.Sprint(is.Partitions), "[]"), "all"))
	if !slices.Equal(c.Keys, is.Keys) {
		tell("--keys", fmt.Sprintf("%q", c.Keys), fmt.Sprintf("%q", is.Keys))
	}
	return strings.Join(out, "; ")
}

// A head is the first line of a state file; the states of keys in memory follow.
type head struct {
	Version   int             `json:"orderly_audit_state"`
	Config    config          `json:"config"`
	Starts    map[int32]int64 `json:"starts"`
	Positions map[int32]int64 `json:"positions"`
	Found     found           `json:"found"`
	Known     known           `json:"known"`
	Producers []*Producer     `json:"producers"`
	States    int64           `json:"states"`
	Spills    []spillHead     `json:"spills"`
}

type spillHead struct {
	Bucket       int    `json:"bucket"`
	Name         string `json:"name"`
	Bytes        int64  `json:"bytes"`
	States       int64  `json:"states"`
	Observations int64  `json:"observations"`
}

// A StateError says why a state file cannot be used.
type StateError struct{ File, Why string }

func (e *StateError) Error() string {
	return fmt.Sprintf("--state %s: %s", e.File, e.Why)
}

// spillDir is where the spill files of a state file are.
func spillDir(file string) string { return file + ".spill" }

// save writes the state so that a later audit can go on from it: the file is
// replaced as a whole, and names how much of each spill file counts.
func (a *audit) save() error {
	h := head{Version: stateVersion, Config: a.config, Starts: a.starts, Positions: a.positions, Found: a.tally.found, Known: a.tally.known}
	h.Found.ForgotGaps += a.tally.forgotGaps
	h.Found.ForgotStrands += a.tally.forgotStrands
	for _, p := range a.tally.producers {
		h.Producers = append(h.Producers, p)
	}
	for i := range a.table.parts {
		b := &a.table.parts[i]
		h.States += int64(len(b.states))
		if s := b.file; s != nil {
			if err := errors.Join(s.w.Flush(), s.f.Sync()); err != nil {
				return err
			}
			h.Spills = append(h.Spills, spillHead{i, filepath.Base(s.path), s.bytes, s.states, s.observation})
		}
	}
	first, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(a.o.State+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	_, err = w.Write(append(first, '\n'))
	out := spill{w: w}
	for i := range a.table.parts {
		for j := range a.table.parts[i].states {
			err = errors.Join(err, a.table.write(&out, kindState, a.table.parts[i].states[j].append))
		}
		if err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return os.Rename(a.o.State+".new", a.o.State)
}

// restore goes on from the state file, when there is one.
func (a *audit) restore() error {
	bad := func(why string, args ...any) error { return &StateError{a.o.State, fmt.Sprintf(why, args...)} }
	f, err := os.Open(a.o.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 256<<10)
	line, err := in.ReadBytes('\n')
	var h head
	if err != nil || !bytes.HasPrefix(line, []byte(`{"orderly_audit_state":`)) || json.Unmarshal(line, &h) != nil {
		return bad("it is no state of orderly audit; name another file")
	}
	if h.Version != stateVersion {
		return bad("it has version %d, and this orderly writes %d; begin again with another file", h.Version, stateVersion)
	}
	if other := h.Config.differs(a.config); other != "" {
		return bad("it is of another audit: %s; name another file, or give the same flags", other)
	}
	a.starts, a.positions, a.tally.found, a.tally.known = h.Starts, h.Positions, h.Found, h.Known
	if a.tally.Fences == nil {
		a.tally.Fences = map[int32]fenceOf{}
	}
	for _, p := range h.Producers {
		a.tally.producers[producerID{p.ID, p.Epoch, p.Partition}] = p
	}
	for _, s := range h.Spills {
		if s.Bucket < 0 || s.Bucket >= buckets || s.Name != filepath.Base(s.Name) {
			return bad("it is damaged")
		}
		path := filepath.Join(a.table.dir, s.Name)
		sf, err := os.OpenFile(path, os.O_RDWR, 0o600)
		if err != nil {
			return bad("its spill file is not to be read: %v; begin again with another file", err)
		}
		info, err := sf.Stat()
		if err == nil && info.Size() < s.Bytes {
			err = errSpill
		}
		if err == nil {
			err = sf.Truncate(s.Bytes) // what came after the state was written
		}
		if err == nil {
			_, err = sf.Seek(0, io.SeekEnd)
		}
		if err != nil {
			_ = sf.Close()
			return bad("its spill file %s: %v; begin again with another file", path, err)
		}
		a.table.parts[s.Bucket].file = &spill{path, sf, bufio.NewWriterSize(sf, 64<<10), s.Bytes, s.States, s.Observations}
	}
	n := int64(0)
	err = frames(in, func(kind uint64, body []byte) error {
		s, cost, err := stateOf(body)
		if err != nil || kind != kindState {
			return errSpill
		}
		n++
		return a.table.put(s, cost)
	})
	if err != nil || n != h.States {
		return bad("it is damaged after %d of %d keys: %v", n, h.States, err)
	}
	return nil
}
