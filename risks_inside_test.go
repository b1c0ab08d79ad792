package orderly

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/internal/rules"
)

// A consumer that joins anew looks again, and says what it said before no more.
func TestTopicRisksAreToldOnce(t *testing.T) {
	var out strings.Builder
	l := slog.New(slog.NewTextHandler(&out, nil))
	var r topicRisks
	for range 3 {
		r.tell(l, "orders", rules.Topic{Replicas: 3, MinInsync: 1}, 3)
		r.tell(l, "payments", rules.Topic{Replicas: 3, MinInsync: 1}, 3)
	}
	r.tell(l, "orders", rules.Topic{Replicas: 1}, 3)
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want one for each topic and rule:\n%s", n, out.String())
	}
}
