package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// The worker pipe: "orderly consume -- CMD", beside the same worker programs that
// get the same lines over bare pipes, one at a time each. What is between the two
// is Kafka and the order.

const (
	workerCommand = "answer-lines" // the worker: this program
	pipeWorkers   = 2
	pipeRecords   = 100_000
)

// answerLines is the worker. It says when its first line came and its last answer
// went, and how many there were.
func answerLines(dir string) error {
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	answer := []byte(`{"ok":true}` + "\n")
	var n, first, last int64
	for {
		if _, err := in.ReadSlice('\n'); err != nil {
			break
		}
		if n++; n == 1 {
			first = time.Now().UnixNano()
		}
		if _, err := os.Stdout.Write(answer); err != nil {
			return err
		}
		last = time.Now().UnixNano()
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, []int64{n, first, last}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprint(os.Getpid())), b.Bytes(), 0o600)
}

// pipeRate is the rate of all workers together.
func pipeRate(dir string, want int64) (float64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return 0, err
	}
	var n, first, last int64
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		var v [3]int64
		if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &v); err != nil {
			return 0, err
		}
		if v[0] == 0 {
			continue
		}
		n += v[0]
		if first == 0 || v[1] < first {
			first = v[1]
		}
		last = max(last, v[2])
	}
	if n != want {
		return 0, fmt.Errorf("the workers got %d records instead of %d", n, want)
	}
	return float64(n) / time.Duration(last-first).Seconds(), nil
}

// measurePipe compares both.
func measurePipe(ctx context.Context, b *bench) ([]row, error) {
	dir, err := os.MkdirTemp("", "orderly-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "orderly")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/orderly-go/orderly/cmd/orderly").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the command: %w\n%s", err, out)
	}
	l := load{Keys: 1000, Records: pipeRecords, Size: b.opt.size}
	if _, err := b.topics.need(ctx, l); err != nil {
		return nil, err
	}
	var rs [2][]result
	for turn := range b.opt.pairs + 1 {
		line := fmt.Sprintf("  %2d/%d", turn, b.opt.pairs)
		for i, measured := range []func(dir string) error{
			func(dir string) error { return b.pipeOurs(ctx, program, self, dir, l.topic()) },
			func(dir string) error { return pipeBare(ctx, self, dir, l) },
		} {
			out, err := os.MkdirTemp(dir, "run-")
			if err != nil {
				return nil, err
			}
			if err := measured(out); err != nil {
				return nil, err
			}
			rate, err := pipeRate(out, l.Records)
			if err != nil {
				return nil, err
			}
			line += fmt.Sprintf("  %s %s/s", []string{"orderly consume", "bare pipes"}[i], short(rate))
			if turn > 0 {
				rs[i] = append(rs[i], result{Rate: rate})
			}
		}
		if turn == 0 {
			line += " (discarded)"
		}
		b.say("%s", line)
	}
	r := ratioRow("the same workers on bare pipes", rs[0], rs[1], 0)
	r.Note = fmt.Sprintf("%d worker processes that answer at once", pipeWorkers)
	return []row{r}, nil
}

func (b *bench) pipeOurs(ctx context.Context, program, worker, dir, topic string) error {
	args := []string{"consume", "-t", topic, "-g", b.groupName(), "--until-end", "--concurrency", fmt.Sprint(pipeWorkers)}
	for _, addr := range b.brokers {
		args = append(args, "-b", addr)
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--", worker, workerCommand, dir)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("orderly consume: %w\n%s", err, stderr.Bytes())
	}
	return nil
}

// pipeBare hands out lines as long as those that the command writes.
func pipeBare(ctx context.Context, worker, dir string, l load) error {
	line := fmt.Appendf(nil, `{"topic":%q,"partition":3,"offset":17000,"timestamp":"2026-01-31T08:00:00.000Z","key":"key-0000000001","value_base64":"%s","headers":[],"attempt":1,"fencing_token":1769846400001}`+"\n",
		l.topic(), bytes.Repeat([]byte("A"), (l.Size+2)/3*4))
	var left atomic.Int64
	left.Store(l.Records)
	errs := make([]error, pipeWorkers)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			cmd := exec.CommandContext(ctx, worker, workerCommand, dir)
			in, err := cmd.StdinPipe()
			if err != nil {
				errs[i] = err
				return
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				errs[i] = err
				return
			}
			if errs[i] = cmd.Start(); errs[i] != nil {
				return
			}
			answers := bufio.NewReader(out)
			for left.Add(-1) >= 0 && err == nil {
				if _, err = in.Write(line); err == nil {
					_, err = answers.ReadSlice('\n')
				}
			}
			errs[i] = errors.Join(err, in.Close(), cmd.Wait())
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
