package orderly

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestClassifyTakesTheHandlersWordFirst(t *testing.T) {
	down := errors.New("down")
	all := func(c Class) func(error) Class { return func(error) Class { return c } }
	for _, tc := range []struct {
		name    string
		err     error
		by      func(error) Class
		class   Class
		after   time.Duration
		problem bool
	}{
		{"unmarked", down, nil, ClassRetry, 0, false},
		{"permanent", Permanent(down), nil, ClassPermanent, 0, false},
		{"wrapped", fmt.Errorf("a: %w", Unavailable(down)), nil, ClassUnavailable, 0, false},
		{"the outermost mark", Permanent(Unavailable(down)), nil, ClassPermanent, 0, false},
		{"mark before Classify", Permanent(down), all(ClassUnavailable), ClassPermanent, 0, false},
		{"after", RetryAfter(down, time.Second), all(ClassPermanent), ClassRetry, time.Second, false},
		{"after, bounded", RetryAfter(down, time.Hour), nil, ClassRetry, time.Minute, false},
		{"after, negative", RetryAfter(down, -1), nil, ClassRetry, 0, false},
		{"not decoded", &DecodeError{Err: down}, all(ClassRetry), ClassPermanent, 0, false},
		{"Classify", down, all(ClassUnavailable), ClassUnavailable, 0, false},
		{"Classify panics", down, func(error) Class { panic("no") }, ClassRetry, 0, true},
		{"Classify is wrong", down, all(7), ClassRetry, 0, true},
	} {
		class, after, problem := classify(&Retry{MaxBackoff: time.Minute, Classify: tc.by}, tc.err)
		if class != tc.class || after != tc.after || (problem != nil) != tc.problem {
			t.Errorf("%s: class %d after %s, problem %v; want %d, %s, %v", tc.name, class, after, problem, tc.class, tc.after, tc.problem)
		}
		if !errors.Is(tc.err, down) {
			t.Errorf("%s: the mark hides the cause", tc.name)
		}
	}
	if Permanent(nil) != nil || Unavailable(nil) != nil || RetryAfter(nil, time.Second) != nil {
		t.Error("a marked nil is not nil")
	}
}
