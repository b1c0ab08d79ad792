package kafkatest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A process is one JVM that we started.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file that has its output
	done chan struct{} // closed when it has ended and was waited for
	err  error         // how it ended; after done
}

// startJVM starts a class of the jars. What it prints is appended to the file log.
func startJVM(jars, log string, jvm []string, class string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	args = append(append(append([]string{}, jvm...), "-cp", filepath.Join(jars, "*"), class), args...)
	p := &process{cmd: exec.Command(java(), args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	err = StartBound(p.cmd, func(err error) {
		p.err = err
		out.Close()
		close(p.done)
	})
	if err != nil {
		out.Close()
	}
	return p, err
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends it without a word to it, and waits until it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// ended describes an end that nobody asked for.
func (p *process) ended() error {
	return fmt.Errorf("it ended by itself (%v)%s", p.err, p.tail())
}

const (
	errorLines = 20
	lastLines  = 15
)

// tail is what matters of its output, ready to follow an error's text: its first
// error, because a broker that gives up then logs its whole shutdown, and its end.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("; its output cannot be read: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	end := max(0, len(lines)-lastLines)
	shown := lines[end:]
	if i := slices.IndexFunc(lines[:end], isError); i >= 0 {
		first := lines[i:min(i+errorLines, end)]
		shown = slices.Concat(first, []string{"..."}, shown)
	}
	return fmt.Sprintf("; of %s:\n%s", p.log, strings.Join(shown, "\n"))
}

func isError(line string) bool {
	return strings.Contains(line, "] ERROR ") || strings.HasPrefix(line, "Exception in thread")
}

// lostPort says whether it could not start because another process was faster to
// bind one of its ports.
func (p *process) lostPort() bool {
	text, err := os.ReadFile(p.log)
	return err == nil && !p.running() && strings.Contains(string(text), "Address already in use")
}
