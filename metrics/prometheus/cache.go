package prometheus

import "sync/atomic"

// A cache keeps what belongs to each topic, so that a record costs no look-up by
// label. Topics are few, and nearly always it is the first one.
type cache[T any] struct {
	first atomic.Pointer[entry[T]]
	all   atomic.Pointer[map[string]*entry[T]]
	build func(topic string) T
}

type entry[T any] struct {
	topic string
	value T
}

func newCache[T any](build func(topic string) T) *cache[T] {
	c := &cache[T]{build: build}
	c.all.Store(&map[string]*entry[T]{})
	return c
}

func (c *cache[T]) get(topic string) *T {
	if e := c.first.Load(); e != nil && e.topic == topic {
		return &e.value
	}
	return c.find(topic)
}

func (c *cache[T]) find(topic string) *T {
	for {
		all := c.all.Load()
		if e, ok := (*all)[topic]; ok {
			return &e.value
		}
		next := make(map[string]*entry[T], len(*all)+1)
		for k, e := range *all {
			next[k] = e
		}
		e := &entry[T]{topic, c.build(topic)}
		next[topic] = e
		if c.all.CompareAndSwap(all, &next) {
			c.first.CompareAndSwap(nil, e)
		}
	}
}
