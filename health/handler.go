package health

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
)

// Options say what else the handler serves, and how.
type Options struct {
	// Metrics serves /metrics. Without it that path is not found.
	Metrics http.Handler
	// Keys says how keys are shown in /state and /keys. Default: hashed.
	Keys orderly.KeyDisplay
}

// KeysMost is how many keys /keys lists at the most, and DefaultKeys how many
// without a limit.
const (
	KeysMost    = 10_000
	DefaultKeys = 100
)

// Handler serves a consumer's health.
func Handler(c *orderly.Consumer, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", check(c.Alive))
	mux.HandleFunc("GET /readyz", check(c.Ready))
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, document(c, o.Keys, time.Now()))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		limit := DefaultKeys
		if text := r.URL.Query().Get("limit"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > KeysMost {
				http.Error(w, fmt.Sprintf("limit=%q: it is a number from 1 to %d", text, KeysMost), http.StatusBadRequest)
				return
			}
			limit = n
		}
		state := r.URL.Query().Get("state")
		if state != "" && !slices.Contains(orderly.BlockedStates(), state) {
			http.Error(w, fmt.Sprintf("state=%q: it is one of %s", state, strings.Join(orderly.BlockedStates(), ", ")), http.StatusBadRequest)
			return
		}
		answer(w, oldest(c, o.Keys, limit, r.URL.Query().Get("topic"), state))
	})
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	return mux
}

func check(problem func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := problem(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// oldest are the keys that have been blocked longest, over all partitions; with a
// topic or a state those alone.
func oldest(c *orderly.Consumer, show orderly.KeyDisplay, limit int, topic, state string) Keys {
	look := limit
	if state != "" {
		look = math.MaxInt // the longest blocked ones may all be in another state
	}
	st := c.Blocked(look)
	out := Keys{Version: Version, Time: time.Now(), Group: st.Group, Member: st.Member, Keys: []Key{}}
	for _, p := range st.Partitions {
		if topic != "" && p.Topic != topic {
			continue
		}
		if state != "" {
			out.Blocked += p.BlockedStates[state]
			p.Oldest = slices.DeleteFunc(p.Oldest, func(b orderly.BlockedKey) bool { return b.State != state })
			p.Oldest = p.Oldest[:min(limit, len(p.Oldest))]
		} else {
			out.Blocked += p.Blocked
		}
		out.Keys = append(out.Keys, keys(p, show)...)
	}
	slices.SortStableFunc(out.Keys, func(a, b Key) int { return a.Since.Compare(b.Since) })
	out.Keys = out.Keys[:min(limit, len(out.Keys))]
	return out
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // who asked may have gone
}
