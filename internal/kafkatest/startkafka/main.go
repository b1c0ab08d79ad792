// Command startkafka starts real Kafka, as the tests do, and keeps it until it is
// interrupted: for plain "go test" and for trying things out.
//
//	go run ./internal/kafkatest/startkafka [-version v] [-nodes 1|3]
//
// It prints the line that makes tests use it. With -fetch it only downloads what
// is needed, and starts nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orderly-go/orderly/internal/kafkatest"
)

func main() {
	version := flag.String("version", kafkatest.Latest, "Kafka's `version`")
	nodes := flag.Int("nodes", 1, "how many nodes: 1 or 3")
	fetch := flag.Bool("fetch", false, "only download the jars")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *version, *nodes, *fetch); err != nil {
		fmt.Fprintln(os.Stderr, "startkafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, version string, nodes int, fetch bool) error {
	if fetch {
		dir, err := kafkatest.Jars(ctx, version)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	}
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{Version: version, Nodes: nodes})
	if err != nil {
		return err
	}
	fmt.Printf("export %s=%s\n", kafkatest.AddrsEnv, strings.Join(cluster.Addrs(), ","))
	<-ctx.Done()
	return cluster.Close()
}
