package status

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orderly-go/orderly/health"
)

// Live is what the owner of a partition says of it.
type Live = health.Partition

// Breaker is what a member says of its breaker.
type Breaker = health.Breaker

// An Unreached is a member that did not answer.
type Unreached struct {
	Address string `json:"address"`
	Error   string `json:"error"`
}

// An AddressError is about an address of --members.
type AddressError struct {
	Address string
	Err     error
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("--members: %q is not HOST:PORT: %v", e.Address, e.Err)
}

// CheckAddresses refuses what is no address.
func CheckAddresses(addrs []string) error {
	for _, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return &AddressError{a, err}
		}
	}
	return nil
}

const (
	memberTimeout = 5 * time.Second
	mostBytes     = 64 << 20 // of an answer
)

// ask gets a document of each address at a time.
func ask[T any](ctx context.Context, addrs []string, path string, version func(T) int) (docs map[string]T, out []Unreached) {
	docs, out = map[string]T{}, []Unreached{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, a := range addrs {
		wg.Go(func() {
			var doc T
			err := get(ctx, "http://"+a+path, &doc)
			if v := version(doc); err == nil && v != health.Version {
				err = fmt.Errorf("its document is of version %d, and this command reads %d: use the command of its release", v, health.Version)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out = append(out, Unreached{a, err.Error()})
				return
			}
			docs[a] = doc
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b Unreached) int { return strings.Compare(a.Address, b.Address) })
	return docs, out
}

func get(ctx context.Context, from string, doc any) error {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: members are near
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s: is it \"orderly consume --metrics\", or a health.Handler at the root?", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostBytes)).Decode(doc); err != nil {
		return fmt.Errorf("its answer is not the document expected: %w", err)
	}
	return nil
}

// AskMembers adds what the members say of their partitions.
func (r *Report) AskMembers(ctx context.Context, addrs []string) {
	docs, out := ask(ctx, addrs, "/state", func(d health.Document) int { return d.Version })
	r.Unreached = append(r.Unreached, out...)
	for addr, d := range docs {
		if d.Group != r.Group {
			r.Unreached = append(r.Unreached, Unreached{addr, fmt.Sprintf("it is a member of group %q", d.Group)})
			continue
		}
		for i := range r.Members {
			if r.Members[i].ID == d.Member {
				r.Members[i].Address, r.Members[i].Breaker = addr, &d.Breaker
			}
		}
		for _, live := range d.Partitions {
			for i := range r.Partitions {
				p := &r.Partitions[i]
				// Two may claim it for a moment of a handover: the later owner is right.
				if p.Topic == live.Topic && p.Partition == live.Partition && (p.Live == nil || p.Live.FencingToken < live.FencingToken) {
					p.Live = &live
					if p.Undone >= 0 && live.Log != nil {
						p.Undone = live.Undone
					}
				}
			}
		}
	}
	r.Parked = r.sumParked()
}

// Keys are the blocked keys that members know.
type Keys struct {
	Version   int          `json:"version"`
	Time      time.Time    `json:"time"`
	State     string       `json:"state,omitempty"` // of these alone; empty: all
	Blocked   int          `json:"blocked"`         // how many there are, listed or not
	Keys      []health.Key `json:"keys"`
	Unreached []Unreached  `json:"unreached"`
}

// Orders of ListKeys.
var Orders = []string{"age", "records", "attempts", "partition"}

// ListKeys asks the members for their blocked keys.
// state is one of orderly.BlockedStates, or empty for all.
func ListKeys(ctx context.Context, addrs []string, topic, state, order string, limit int) Keys {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if order != "age" {
		q.Set("limit", strconv.Itoa(health.KeysMost)) // each knows only the oldest order
	}
	if topic != "" {
		q.Set("topic", topic)
	}
	if state != "" {
		q.Set("state", state)
	}
	docs, out := ask(ctx, addrs, "/keys?"+q.Encode(), func(d health.Keys) int { return d.Version })
	k := Keys{Version: Version, Time: time.Now(), State: state, Keys: []health.Key{}, Unreached: out}
	for _, d := range docs {
		k.Blocked += d.Blocked
		k.Keys = append(k.Keys, d.Keys...)
	}
	slices.SortFunc(k.Keys, func(a, b health.Key) int {
		var c int
		switch order {
		case "records":
			c = b.Records - a.Records
		case "attempts":
			c = b.Attempts - a.Attempts
		case "age":
			c = a.Since.Compare(b.Since)
		}
		for _, next := range []int{strings.Compare(a.Topic, b.Topic), int(a.Partition - b.Partition), int(min(max(a.FirstOffset-b.FirstOffset, -1), 1))} {
			if c == 0 {
				c = next
			}
		}
		return c
	})
	k.Keys = k.Keys[:min(limit, len(k.Keys))]
	return k
}
