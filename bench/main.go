package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == brokerCommand:
		err = serveBroker()
	case len(os.Args) == 3 && os.Args[1] == runCommand:
		err = runOne(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == workerCommand:
		err = answerLines(os.Args[2])
	default:
		err = measureAll()
	}
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// tooRestless is how far apart the rates of one and the same program may lie on a
// machine that has nothing else to do.
const tooRestless = 0.1

// A report is what -json prints.
type report struct {
	Machine machine `json:"machine"`
	Records int64   `json:"records"`
	Size    int     `json:"size"`
	Rows    []row   `json:"rows"`
}

func measureAll() (err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	var o options
	fs.Int64Var(&o.records, "records", 3_000_000, "records of a run of an empty handler")
	fs.IntVar(&o.size, "size", 100, "bytes of a record's value")
	fs.IntVar(&o.partitions, "partitions", 6, "partitions of a topic")
	fs.IntVar(&o.pairs, "pairs", 11, "pairs of runs that count; one more is discarded before them")
	fs.BoolVar(&o.quick, "quick", false, "a short look: 3 pairs, a third of the records; judges nothing")
	fs.BoolVar(&o.huge, "huge", false, "memory also with 10,000,000 keys (the embedded broker then needs 4 GiB)")
	fs.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of each run into this `directory`")
	expr := fs.String("run", "", "measure only the workloads whose name this `regexp` matches")
	brokers := fs.String("brokers", "", "Kafka at these `addresses` instead of the embedded broker")
	keep := fs.Bool("keep", false, "with -brokers: leave the topics there, for the next time")
	asJSON := fs.Bool("json", false, "print JSON, each run's numbers included")
	list := fs.Bool("list", false, "print the workloads' names")
	if err := fs.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		os.Exit(2)
	}
	if o.match, err = regexp.Compile(*expr); err != nil {
		return err
	}
	if o.quick {
		o.pairs, o.records = min(o.pairs, 3), o.records/3
	}
	if o.pairs < 1 || o.records < 1000 || o.size < 0 || o.partitions < 1 {
		return errors.New("-pairs and -partitions are at least 1, -records at least 1000, -size not negative")
	}
	var todo []workload
	for _, w := range workloads(o) {
		if o.match.MatchString(w.name) {
			todo = append(todo, w)
		}
	}
	if *list {
		for _, w := range todo {
			fmt.Println(w.name)
		}
		return nil
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err
		}
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var addrs []string
	if *brokers != "" {
		addrs = strings.Split(*brokers, ",")
	}
	rep := report{Machine: thisMachine(addrs), Records: o.records, Size: o.size}
	if addrs == nil {
		var end func()
		if addrs, end, err = startBroker(ctx); err != nil {
			return err
		}
		defer end()
	}
	b := &bench{
		opt: o, brokers: addrs,
		topics: &topics{brokers: addrs, partitions: int32(o.partitions), have: make(map[load][]int64)},
		say:    func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
		prefix: "orderly-bench-" + strconv.FormatInt(time.Now().UnixNano(), 36),
	}
	if *brokers != "" && !*keep {
		defer func() { err = errors.Join(err, b.topics.remove(context.WithoutCancel(ctx))) }()
	}
	for i, w := range todo {
		b.say("%d/%d %s", i+1, len(todo), w.name)
		rows, err := w.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		for _, r := range rows {
			r.Workload = w.name
			rep.Rows = append(rep.Rows, r)
		}
	}
	return rep.print(*asJSON)
}

func (rep report) print(asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	fmt.Printf("\n%s\n%s records of %d bytes a run where nothing else is said.\n\n", rep.Machine, group(rep.Records), rep.Size)
	printTable(os.Stdout, rep.Rows)
	least := math.Inf(1)
	pairs := 0
	var noise []float64
	for _, r := range rep.Rows {
		if r.Ratio != nil {
			least, pairs = min(least, r.Ratio.Coverage), r.Ratio.Pairs
			noise = append(noise, restless(r))
		}
	}
	switch {
	case pairs == 0:
	case least < 0.95:
		fmt.Printf("\n%d pairs: too few for a 95 %% interval; the brackets hold the least and the most.\n", pairs)
	default:
		fmt.Printf("\n%d pairs each; the interval holds the true median with %.1f %%; a bar is met when the interval reaches it.\n", pairs, 100*least)
	}
	if len(noise) > 0 && median(noise) > tooRestless {
		fmt.Printf("The machine was busy with something else: the other sides' own rates lie %.0f %% apart. Judge by the processor time of a record, or repeat.\n",
			100*median(noise))
	}
	return nil
}
