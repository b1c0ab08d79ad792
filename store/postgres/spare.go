package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/orderly-go/orderly/store/internal/protocol"
)

const (
	// spareAfter is how long who takes a partition over waits for the program's pool.
	spareAfter = 500 * time.Millisecond
	// spareIdle is how long the spare connection stays when nobody needs it.
	spareIdle = 10 * time.Second
)

// A spare is a connection beside the program's pool. When handlers hold all of the
// pool's, a partition that is to be taken over would wait for them, with little time:
// it gets one that is made as the pool makes them, and closed when it is over.
type spare struct {
	of          *pgxpool.Pool
	after, idle time.Duration

	mu    sync.Mutex
	pool  *pgxpool.Pool // of one connection; nil: there is none
	users int
	since uint64 // how often it was used
}

func newSpare(of *pgxpool.Pool) *spare { return &spare{of: of, after: spareAfter, idle: spareIdle} }

// acquire is the pool's Acquire for who takes a partition over.
func (s *spare) acquire(ctx context.Context) (conn *pgxpool.Conn, release func(), err error) {
	if !s.open() {
		short, cancel := context.WithTimeout(ctx, s.after)
		conn, err = s.of.Acquire(short)
		cancel()
		if err == nil {
			return conn, conn.Release, nil
		}
		if short.Err() == nil || ctx.Err() != nil {
			return nil, nil, err
		}
	}
	pool, err := s.use()
	if err != nil {
		return nil, nil, err
	}
	if conn, err = pool.Acquire(ctx); err != nil {
		s.leave()
		return nil, nil, err
	}
	return conn, func() { conn.Release(); s.leave() }, nil
}

func (s *spare) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pool != nil
}

// use makes it, if it is not there.
func (s *spare) use() (*pgxpool.Pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool == nil {
		cfg := s.of.Config()
		cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
		pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
		if err != nil {
			return nil, err
		}
		s.pool = pool
	}
	s.users++
	s.since++
	return s.pool, nil
}

func (s *spare) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	since := s.since
	time.AfterFunc(s.idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users == 0 && s.since == since && s.pool != nil {
			s.pool.Close()
			s.pool = nil
		}
	})
}

// ownRows give their connection back.
type ownRows struct {
	protocol.Rows
	release func()
}

func (r *ownRows) Close() {
	r.Rows.Close()
	if r.release != nil {
		r.release()
		r.release = nil
	}
}
