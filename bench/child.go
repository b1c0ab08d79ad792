package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/orderly-go/orderly"
)

// What the hidden commands are called by which the program starts itself.
const (
	brokerCommand = "serve-embedded-broker"
	runCommand    = "run-one"
)

// A side is one of the things that are compared.
type side string

const (
	ours     side = "orderly"  // our consumer
	floor    side = "floor"    // a bare franz-go poll loop
	sleepers side = "sleepers" // bare goroutines that sleep

	producer     side = "producer"      // our producer
	bareProducer side = "bare-producer" // one of the client's
)

// A spec is what one process runs. It gets it as an argument, in JSON.
type spec struct {
	Side    side
	Brokers []string
	Topic   string
	Group   string
	Counts  []int64 // records of each partition

	Whole       bool          // partition scope
	Batch       bool          // a batch handler
	Concurrency int           // and number of sleepers
	Sleep       time.Duration // of the handler
	Ballast     int64         // bytes that are kept alive: what makes a floor GC-matched
	Steady      bool          // only the second half is measured: buffers and pools have grown
	Idle        time.Duration // how long to sit there when all is handled

	Machinery machinery // what of ours is on
	Policy    orderly.Policy

	Write    *load // what a producer writes
	Numbered bool  // with sequence headers

	Stick   bool   // the first record of the first partition is never done
	DoneLog string // where to write which records are done

	Failing failing // which keys fail, and how
	Load    load    // with Failing: what the topic holds
	Paced   bool    // the records are written while they are read, so many a second

	Parking *parkingSpec // nothing but parking is measured

	Profile string // path prefix
}

func (s spec) records() (n int64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// A result is what such a process prints, in one line of JSON.
type result struct {
	Records  int64   `json:"records"` // in the measured time
	Seconds  float64 `json:"seconds"`
	Rate     float64 `json:"rate"`
	Allocs   float64 `json:"allocs_per_record"`
	Bytes    float64 `json:"bytes_per_record"`
	GCs      int64   `json:"gcs"`
	Live     int64   `json:"live_heap"` // mean over time of what the last collection found alive, in bytes
	Kept     int64   `json:"kept_heap"` // alive when all was handled
	RSS      int64   `json:"max_rss"`   // bytes
	InFlight int64   `json:"peak_in_flight,omitempty"`
	CPU      float64 `json:"cpu"`      // cores that were busy
	IdleCPU  float64 `json:"idle_cpu"` // while it sat there

	Overtakes int64   `json:"overtakes,omitempty"` // records that passed one of their key that was not done
	Failed    int64   `json:"failed_attempts,omitempty"`
	Parked    int64   `json:"parked,omitempty"`
	P99       float64 `json:"p99_seconds,omitempty"` // from writing a healthy key's record to the end of its handler
}

// run starts a process for the spec and returns its result.
func run(ctx context.Context, s spec) (result, error) {
	cmd, out, err := command(ctx, s)
	if err != nil {
		return result{}, err
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return result{}, ctx.Err()
		}
		return result{}, fmt.Errorf("the process of side %s on %s: %w", s.Side, s.Topic, err)
	}
	var r result
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		return result{}, fmt.Errorf("the process of side %s on %s printed %q: %w", s.Side, s.Topic, out, err)
	}
	return r, nil
}

func command(ctx context.Context, s spec) (*exec.Cmd, *strings.Builder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	arg, err := json.Marshal(s)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, runCommand, string(arg))
	cmd.Stderr = os.Stderr
	out := new(strings.Builder)
	cmd.Stdout = out
	return cmd, out, nil
}

// limit is how long a process may take before it counts as hanging.
const limit = 5 * time.Minute

// runOne is the hidden command of a measured process.
func runOne(arg string) error {
	var s spec
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, errors.New("it takes too long"))
	defer cancel()
	m := newMeter(s)
	var err error
	switch {
	case s.Parking != nil:
		return runParking(ctx, s, m)
	case s.Failing != "":
		h := newHealth(s, m)
		if err = h.run(ctx); err == nil {
			r := m.result()
			h.report(&r)
			return json.NewEncoder(os.Stdout).Encode(r)
		}
		return err
	}
	switch s.Side {
	case ours:
		err = runOurs(ctx, s, m)
	case floor:
		err = runFloor(ctx, s, m)
	case sleepers:
		err = runSleepers(s, m)
	case producer, bareProducer:
		err = runProducers(ctx, s, m)
	default:
		err = fmt.Errorf("no side %q", s.Side)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m.result())
}
