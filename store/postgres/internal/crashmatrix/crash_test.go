// Package crashmatrix kills what a consumer with effects in PostgreSQL stands on, with
// real Kafka below it: its own process (kill -9), the database (an immediate stop), and
// the owner's time (SIGSTOP until another one took over, then SIGCONT).
package crashmatrix

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/orderly-go/orderly/store/postgres"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) {
	if effectstest.Member(openHistory) {
		return
	}
	os.Exit(m.Run())
}

// database makes an empty one with orderly's tables.
func database(t *testing.T, server string) string {
	t.Helper()
	url := postgrestest.Database(t, server, func(url, statement string) error {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		return err
	})
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := postgres.New(pool, postgres.Options{}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return url
}

// logged reads a topic with a plain client.
func logged(t *testing.T, brokers []string, topic string, records int) (out []effectstest.Logged) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for len(out) < records {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out = append(out, effectstest.Logged{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value})
		})
	}
	return out
}

// On real Kafka, with keys that are parked and released all the time, and one that waits
// for an operator through what is killed meanwhile. A soak has it also without parking.
func TestEffectsOnceThroughCrashes(t *testing.T) {
	if !kafkatest.Require(t, kafkatest.Latest) || !postgrestest.Require(t) {
		return
	}
	soak := os.Getenv("ORDERLY_SOAK") == "1"
	for name, parks := range map[string]bool{"parking": true, "blocking": false} {
		if !parks && !soak {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := postgrestest.Start(t)
			cluster, err := kafkatest.Start(t.Context(), kafkatest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := cluster.Close(); err != nil {
					t.Error(err)
				}
			})
			scene := effectstest.Scene{DSN: database(t, s.URL()), Open: openHistory, Broker: orderlytest.Dial(t, cluster.Addrs()...),
				Log: func(topic string, records int) []effectstest.Logged {
					return logged(t, cluster.Addrs(), topic, records)
				}, Kills: 10, Freezes: 5, Outages: 5, Parks: parks, Outage: func() {
					s.StopNow(t)
					s.Restart(t)
				}}
			if soak {
				scene.Kills, scene.Freezes, scene.Outages = 200, 50, 50
			}
			scene.Run(t)
		})
	}
}

// A real change history, applied by processes that are killed and frozen while the
// database is stopped and started: each change once, and the end is the known truth.
func TestChangeHistory(t *testing.T) {
	if kafkatest.Shared() != nil || !postgrestest.Require(t) {
		return // in the run without Kafka; the matrix is the run with it
	}
	for _, over := range []string{"pgx", "database-sql"} {
		t.Run(over, func(t *testing.T) {
			s := postgrestest.Start(t)
			scene := effectstest.Scene{DSN: database(t, s.URL()), Open: openHistory, Kills: 3, Freezes: 1, Outages: 1, Outage: func() {
				s.StopNow(t)
				s.Restart(t)
			}}
			if over != "pgx" {
				t.Setenv(overSQL, "1")
				scene.Kills = 1
			}
			if os.Getenv("ORDERLY_SOAK") == "1" {
				scene.Kills, scene.Freezes, scene.Outages = 20, 10, 5
			}
			scene.Run(t)
		})
	}
}
