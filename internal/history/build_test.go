package history

import (
	"fmt"
	"slices"
	"testing"
)

// Short forms of events, so that a test's history reads like one.

const topic = "orders"

func logged(offset int64, key string) Event {
	return Event{Kind: Log, Topic: topic, Offset: offset, Key: StringKey(key)}
}

func own(m string, token int64) Event {
	return Event{Kind: Own, Member: m, Topic: topic, Token: token}
}

func on(kind Kind, m string) Event { return Event{Kind: kind, Member: m, Topic: topic} }

func start(m string, token, offset int64, key string, attempt int) Event {
	return Event{Kind: Start, Member: m, Topic: topic, Token: token, Offset: offset, Key: StringKey(key), Attempt: attempt}
}

func end(m string, token, offset int64, attempt int, ok bool) Event {
	return Event{Kind: End, Member: m, Topic: topic, Token: token, Offset: offset, Attempt: attempt, OK: ok}
}

func commit(m string, offset int64, ahead ...int64) Event {
	return Event{Kind: Commit, Member: m, Topic: topic, Offset: offset, Ahead: ahead}
}

func settled(kind Kind, m string, offset int64) Event {
	return Event{Kind: kind, Member: m, Topic: topic, Offset: offset, Why: "test"}
}

func effect(m string, token, offset int64, key string) Event {
	return Event{Kind: Effect, Member: m, Topic: topic, Token: token, Offset: offset, Key: StringKey(key)}
}

// handled is one successful attempt.
func handled(m string, token, offset int64, key string) []Event {
	return []Event{start(m, token, offset, key, 1), end(m, token, offset, 1, true)}
}

// list joins events and lists of events.
func list(parts ...any) []Event {
	var out []Event
	for _, p := range parts {
		switch p := p.(type) {
		case Event:
			out = append(out, p)
		case []Event:
			out = append(out, p...)
		default:
			panic(fmt.Sprintf("list of %T", p))
		}
	}
	return out
}

// two is a log of a0 b1 a2 b3, owned by A with token 1.
func two() []Event {
	return list(logged(0, "a"), logged(1, "b"), logged(2, "a"), logged(3, "b"), own("A", 1))
}

// rest handles what two logged, from the given offset on.
func rest(m string, token, from int64) []Event {
	var out []Event
	for o := from; o < 4; o++ {
		out = append(out, handled(m, token, o, string("ab"[o%2]))...)
	}
	return out
}

func classes(r Report) []Class {
	var out []Class
	for _, c := range Classes() {
		if r.Counts[c] > 0 {
			out = append(out, c)
		}
	}
	return out
}

// requireClasses fails unless exactly these classes were found.
func requireClasses(t interface {
	Helper()
	Fatalf(string, ...any)
}, r Report, want ...Class) {
	t.Helper()
	if !slices.Equal(classes(r), want) {
		t.Fatalf("classes %v, want %v\n%s", classes(r), want, r)
	}
}

var complete = Options{Complete: true}

func requireCount(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}
