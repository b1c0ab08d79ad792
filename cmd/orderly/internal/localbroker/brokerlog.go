package localbroker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logPause is how long a kind of message is not repeated: a full disk makes one
// for each batch.
const logPause = 10 * time.Second

// A brokerLog takes kfake's log. It is also the only way to learn that kfake
// could not write: Close returns nothing.
type brokerLog struct {
	log *slog.Logger

	mu     sync.Mutex
	kinds  map[string]*logKind
	failed bool // something was not written since the start
}

type logKind struct {
	last    time.Time
	dropped int
}

func newBrokerLog(log *slog.Logger) *brokerLog {
	return &brokerLog{log: log, kinds: make(map[string]*logKind)}
}

func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || level == kfake.LogLevelNone {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	write := isWriteFailure(format)
	l.failed = l.failed || write
	k := l.kinds[format]
	now := time.Now()
	if k == nil {
		k = new(logKind)
		l.kinds[format] = k
	} else if now.Sub(k.last) < logPause {
		k.dropped++
		return
	}
	var attrs []any
	if k.dropped > 0 {
		attrs = append(attrs, "not repeated", k.dropped)
	}
	k.last, k.dropped = now, 0
	text := fmt.Sprintf(format, args...)
	if write {
		text += ": what cannot be written is refused and not acknowledged; make room on the disk"
	}
	if write || level == kfake.LogLevelError {
		l.log.Error(text, attrs...)
	} else {
		l.log.Warn(text, attrs...)
	}
}

// isWriteFailure knows kfake's messages by their beginning. One that is not
// known costs only that a file cut in the middle of a write is found by the
// start after the next one.
func isWriteFailure(format string) bool {
	for _, begin := range []string{"persist ", "save session state", "rebuildSegments", "compact groups.log", "compact pids.log", "endTx: failed"} {
		if strings.HasPrefix(format, begin) {
			return true
		}
	}
	return false
}

func (l *brokerLog) writeFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
