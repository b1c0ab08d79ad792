package prove

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// A member of some scenarios is a process of its own, for only a process can be
// killed or frozen. It runs the same code as the members that are not, but its book
// is ours: it says what happens and waits for the answer before it goes on. So what
// it had done when it was killed is exactly known.

// MemberCommand is the hidden command under which a scenario starts its members.
const MemberCommand = "prove-member"

// memberSpec is what a member is told.
type memberSpec struct {
	Name    string
	Broker  string
	Topic   string
	Group   string
	Role    string
	Who     Subject
	Slow    time.Duration
	Session time.Duration
	Effects bool
}

// The answers that a member gets, each a line.
const (
	goOn      = "go on"
	notTaken  = "refused" // the effect: a newer owner has written
	leaveNow  = "leave"   // unasked
	forMember = " is how a scenario of \"orderly prove\" starts its members; run \"orderly prove scenario\""
)

// RunMember is the process of a member.
func RunMember(args []string, in io.Reader, out io.Writer) error {
	var spec memberSpec
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &spec) != nil || spec.Name == "" {
		return &ConfigError{MemberCommand + forMember}
	}
	ctx, leave := context.WithCancelCause(context.Background())
	defer leave(nil)
	l := &line{out: json.NewEncoder(out), answers: make(chan string), leave: leave, gone: ctx.Done()}
	number, err := naming(".n")
	if err != nil {
		return err
	}
	s := &side{
		cfg: &Config{Workload: Consumer, Limit: time.Minute, slow: spec.Slow, session: spec.Session, effects: spec.Effects},
		who: &spec.Who, role: spec.Role, topic: spec.Topic, group: spec.Group, number: number, at: spec.Broker, book: &book{remote: l.tell},
	}
	a := newApp(s)
	a.ctx, a.end = ctx, func() {}
	go l.read(in)
	run := a.runOurs
	if spec.Who.Kind != Orderly {
		run = a.runFranz
	}
	if err := run(ctx, spec.Name); err != nil {
		return err
	}
	if err := context.Cause(ctx); errors.Is(err, errGone) {
		return err
	}
	return nil
}

var (
	errGone    = errors.New("the scenario that this process belongs to has ended")
	errRefused = errors.New("a newer owner of the partition has written: the effect was refused")
)

// A line is a member's end of what connects it with the scenario.
type line struct {
	mu      sync.Mutex
	out     *json.Encoder
	answers chan string
	leave   context.CancelCauseFunc
	gone    <-chan struct{}
}

// tell says what happens, and returns when that is written down: true, or false when
// it is refused. To one that is not needed any more nobody answers.
func (l *line) tell(e history.Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.Encode(e) != nil {
		l.leave(errGone)
		return false
	}
	answer, ok := <-l.answers
	return ok && answer == goOn
}

func (l *line) read(in io.Reader) {
	defer close(l.answers)
	for sc := bufio.NewScanner(in); sc.Scan(); {
		if sc.Text() == leaveNow {
			l.leave(nil)
			continue
		}
		l.answers <- sc.Text()
	}
	l.leave(errGone)
}

// args are the arguments of the member's command.
func (m *memberSpec) args() ([]string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("the member %s: %w", m.Name, err)
	}
	return []string{MemberCommand, string(text)}, nil
}
