package prometheus

import "sync/atomic"

// A cache keeps what belongs to each topic, so that a record costs no look-up by
// label. Topics are few.
type cache[T any] struct {
	all   atomic.Pointer[map[string]T]
	build func(topic string) T
}

func newCache[T any](build func(topic string) T) *cache[T] {
	c := &cache[T]{build: build}
	c.all.Store(&map[string]T{})
	return c
}

func (c *cache[T]) get(topic string) T {
	for {
		all := c.all.Load()
		if v, ok := (*all)[topic]; ok {
			return v
		}
		next := make(map[string]T, len(*all)+1)
		for k, v := range *all {
			next[k] = v
		}
		next[topic] = c.build(topic)
		c.all.CompareAndSwap(all, &next)
	}
}
