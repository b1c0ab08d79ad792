// Command startkafka starts real Kafka, as the tests do, for a command that finds
// its address in ORDERLY_KAFKA; without a command, until it is interrupted, and it
// prints the line that makes tests use it.
//
//	go run ./internal/kafkatest/startkafka [-version v] [-nodes 1|3] [command...]
//
// With -fetch it only downloads what is needed, and starts nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
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
	err := run(ctx, *version, *nodes, *fetch, flag.Args())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode()) // the command has said why
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "startkafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, version string, nodes int, fetch bool, command []string) error {
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
	env := kafkatest.AddrsEnv + "=" + strings.Join(cluster.Addrs(), ",")
	if len(command) > 0 {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), env)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err = cmd.Run()
	} else {
		fmt.Println("export " + env)
		<-ctx.Done()
	}
	return errors.Join(err, cluster.Close())
}
