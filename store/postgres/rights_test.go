package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/postgrestest"
	"github.com/orderly-go/orderly/orderlytest"
)

// A consumer needs the rights that Schema names, and no others.
func TestLeastPrivileges(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	b, owner := site(t, server(t))
	role := fmt.Sprintf("orderly_test_%d", rand.Uint32())
	run := func(statement string) {
		t.Helper()
		if _, err := owner.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("CREATE ROLE " + role)
	t.Cleanup(func() {
		_, _ = owner.Pool().Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
	})
	run("GRANT SELECT, INSERT, UPDATE ON effect TO " + role)
	grants := 0
	for line := range strings.Lines(Schema()) {
		if grant, ok := strings.CutPrefix(strings.TrimSpace(line), "-- GRANT "); ok {
			run("GRANT " + strings.Replace(grant, " TO billing", " TO "+role, 1))
			grants++
		}
	}
	if grants != 4 {
		t.Fatalf("%d grants are named", grants)
	}
	cfg, err := pgxpool.ParseConfig(owner.Pool().Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET ROLE "+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	g := b.Group(orderly.ConsumerConfig{Topics: []string{"orders"}, OnExhausted: orderly.PolicySkip, Retry: orderly.Retry{MaxAttempts: 2},
		Effects: Apply(pool, func(ctx context.Context, tx pgx.Tx, m *orderly.Message) error {
			if string(m.Value) == "bad" {
				return fmt.Errorf("it is bad")
			}
			return note(ctx, tx, m)
		})})
	b.Produce("orders", orderlytest.Msg("k", "v"), orderlytest.Msg("k", "bad"), orderlytest.Msg("k", "v"), orderlytest.Msg("l", "v"))
	m := g.Start()
	applied(t, b, owner, 3)
	b.Eventually("the low-water row and the audit", func() bool {
		var low, audits int
		err := owner.Pool().QueryRow(t.Context(), `SELECT low, (SELECT count(*) FROM orderly_audit WHERE decision = 'skip') FROM orderly_low`).Scan(&low, &audits)
		return err == nil && low == 4 && audits == 1
	})
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
}
