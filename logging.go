package orderly

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
	"unicode/utf8"
)

// A KeyDisplay says how the keys of records are shown.
type KeyDisplay int

const (
	// KeysHash shows 16 hexadecimal digits of a key's SHA-256: the same key can
	// be followed and not be read. Who can list the possible keys can find out
	// which it is.
	KeysHash KeyDisplay = iota
	// KeysPlain shows keys as they are.
	KeysPlain
	// KeysNone shows no keys.
	KeysNone
)

// HashKey is what KeysHash shows of a key.
func HashKey(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// attr is a key as an attribute of a log line; ok is false when there is none.
func (d KeyDisplay) attr(key []byte) (name, value string, ok bool) {
	switch {
	case d == KeysNone || key == nil:
		return "", "", false
	case d == KeysHash:
		return "key_hash", HashKey(key), true
	case utf8.Valid(key):
		return "key", string(key), true
	}
	return "key_hex", hex.EncodeToString(key), true
}

// logLimit lets each text through a few times in a window, and counts the rest.
type logLimit struct {
	mu    sync.Mutex
	texts map[string]*logWindow
}

const (
	logLines = 10 // of one text in a window
	logEvery = time.Minute
	logTexts = 256 // remembered; texts are few, but for warnings that name a thing
)

type logWindow struct {
	since      time.Time
	lines      int
	suppressed int
}

// allow says whether a line may be written now, and how many of the same text were
// not since the last one.
func (l *logLimit) allow(text string, now time.Time) (ok bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.texts[text]
	if w == nil {
		if l.texts == nil || len(l.texts) >= logTexts {
			l.texts = make(map[string]*logWindow)
		}
		w = &logWindow{since: now}
		l.texts[text] = w
	}
	if now.Sub(w.since) >= logEvery {
		w.since, w.lines = now, 0
	}
	if w.lines >= logLines {
		w.suppressed++
		return false, 0
	}
	w.lines++
	suppressed, w.suppressed = w.suppressed, 0
	return true, suppressed
}

// brief is the beginning of an error's text.
func brief(err error) (text string) {
	const most = 200
	defer func() {
		if recover() != nil {
			text = "an error whose Error method panics"
		}
	}()
	text = err.Error()
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return string([]byte(text[:cut])) + "..."
}
