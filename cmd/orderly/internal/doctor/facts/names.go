package facts

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed known.txt
var knownText string

// known are the settings of Kafka's own parts and of librdkafka, each with whose it
// is: a list of names, made from their own tables.
var known = sync.OnceValue(func() map[string]string {
	all := make(map[string]string, 600)
	for line := range strings.Lines(knownText) {
		name, whose, _ := strings.Cut(strings.TrimSpace(line), ":")
		all[name] += " " + whose + " "
	}
	return all
})

// KnownTo says whether a setting is one of a client's, broker's or topic's. Settings
// of serializers, interceptors and of connectors are anybody's.
func KnownTo(name string, whose ...string) bool {
	of := known()[name]
	for _, w := range whose {
		if strings.Contains(of, " "+w+" ") {
			return true
		}
	}
	return false
}

// Known says whether anything of Kafka knows the setting.
func Known(name string) bool { return known()[name] != "" }

// Near is the name of whose settings that is most like name: the same letters in
// another style, or at most two letters away.
func Near(name string, whose ...string) string {
	flat := flatten(name)
	best, least := "", 3
	for k, of := range known() {
		if !anyOf(of, whose) {
			continue
		}
		f := flatten(k)
		if f == flat {
			return k
		}
		if d := distance(flat, f, min(least+1, 3)); d < least || d == least && d < 3 && k < best {
			best, least = k, d
		}
	}
	if len(flat) < 8 {
		return ""
	}
	return best
}

func anyOf(of string, whose []string) bool {
	for _, w := range whose {
		if strings.Contains(of, " "+w+" ") {
			return true
		}
	}
	return len(whose) == 0
}

func flatten(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' {
			return -1
		}
		return r | 0x20
	}, s)
}

// distance is the number of letters to change, add or take away, if below most.
func distance(a, b string, most int) int {
	if len(a) > 80 || len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag, least := row[0], i
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
			least = min(least, cost)
		}
		if least >= most {
			return most
		}
	}
	return min(row[len(b)], most)
}
