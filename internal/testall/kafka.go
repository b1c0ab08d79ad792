package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/orderly-go/orderly/internal/kafkatest"
)

// noKafka also gets what can be got: after it, the jars are there, or the tests
// that need them do not run.
func noKafka(goEnv) string {
	return kafkatest.Missing(context.Background(), kafkatest.Latest)
}

// A sharedKafka is the one node of real Kafka that all packages' tests share. It
// starts while the first of them compile: one per package would cost each seconds.
type sharedKafka struct {
	absent  bool
	started chan struct{} // closed when addrs is set
	addrs   string        // "" when there are none
	stop    context.CancelFunc
	done    chan struct{} // closed when err is set
	err     error
}

// startKafka starts the node, unless the environment names one, or it is absent.
func startKafka(absent bool) *sharedKafka {
	addrs := os.Getenv(kafkatest.AddrsEnv)
	k := &sharedKafka{absent: absent && addrs == "", addrs: addrs, started: make(chan struct{}), done: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if addrs != "" || absent {
		close(k.started)
		close(k.done)
		return k
	}
	go k.run(ctx)

	// The node would die with us, and its folder stay.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = k.close()
		os.Exit(130)
	}()
	return k
}

func (k *sharedKafka) run(ctx context.Context) {
	defer close(k.done)
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{})
	if err != nil {
		k.err = err
		close(k.started)
		return
	}
	k.addrs = strings.Join(cluster.Addrs(), ",")
	close(k.started)
	<-ctx.Done()
	k.err = cluster.Close()
}

// env is what a batch's tests are told. For one that runs on real Kafka it waits
// for the node; ok is false when there is none, which the report says elsewhere.
func (k *sharedKafka) env(b batch) (env []string, ok bool) {
	if !b.kafka {
		return []string{kafkatest.AddrsEnv + "=", kafkatest.OffEnv + "=1"}, true
	}
	<-k.started
	return []string{kafkatest.AddrsEnv + "=" + k.addrs}, k.addrs != ""
}

// close returns why there was no node, or what became of it.
func (k *sharedKafka) close() error {
	k.stop()
	<-k.done
	return k.err
}
