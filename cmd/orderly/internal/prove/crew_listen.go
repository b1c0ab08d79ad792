package prove

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// listen takes what the copies say until all are gone.
func (c *crew) listen(r io.Reader) {
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := in.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) { // no report is so long
			long = true
			_, _ = c.output.Write(line)
			line, err = in.ReadSlice('\n')
		}
		if name, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), exited); ok {
			c.journal.dies(name)
		} else if len(line) > 0 && !long {
			c.hear(string(line))
		}
		if err != nil {
			return
		}
	}
}

func (c *crew) known(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copies[name] != nil
}

// hear takes a line.
func (c *crew) hear(line string) {
	r, ours, broken := parseReport(line, c.known)
	if broken {
		c.count(&c.broken, &c.example.broken, line)
		return
	}
	if !ours {
		_, _ = c.output.Write([]byte(line))
		return
	}
	var at place
	var key string
	var ok bool
	if r.Key != nil {
		key = *r.Key
		at, ok = c.feed.where(key, r.Number)
	} else {
		at = place{*r.Partition, *r.Offset}
		key, ok = c.feed.who(at)
	}
	if !ok {
		c.count(&c.strange, &c.example.strange, line)
		return
	}
	c.mu.Lock()
	c.reports++
	c.mu.Unlock()
	c.journal.takes(r, key, at, c.s.proxy.Requests("OffsetFetch"))
	if r.Did == saysDone || r.Did == saysSkipped {
		c.mu.Lock()
		c.done[at] = true
		c.processed.Store(int64(len(c.done)))
		c.s.book.processed.Store(int64(len(c.done)))
		c.mu.Unlock()
	}
}

func (c *crew) count(n *int64, example *string, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *n++; *n == 1 {
		*example = strings.TrimSpace(line)
	}
}

// lastWords are those of a copy, or of any.
func (c *crew) lastWords(m *crewCopy) string {
	if m != nil && len(m.output.last(1)) > 0 {
		return m.lastWords()
	}
	return (&command{output: c.output}).lastWords()
}
