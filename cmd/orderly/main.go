// Command orderly shows and checks order per key in Apache Kafka.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/orderly-go/orderly/cmd/orderly/internal/cli"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := cli.Interruptible(context.Background(), func(code int) {
		fmt.Fprintln(os.Stderr, "\norderly: interrupted twice: left at once")
		os.Exit(code)
	})
	defer stop()
	return cli.Run(ctx, version, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
