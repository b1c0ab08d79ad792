package judge

import (
	"context"
	"errors"
	"io"

	"github.com/orderly-go/orderly/internal/history"
)

// Check reads and checks a history, and picks the smallest example of each class
// in a second reading when there is something to show. open gives the history
// from its beginning each time.
func Check(ctx context.Context, name string, open func() (io.ReadCloser, error), opt history.Options) (Run, error) {
	run := Run{Name: name}
	scan := func(fn func(history.Event) error) (err error) {
		r, err := open()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		return history.Scan(r, func(e history.Event) error {
			if e.N%1024 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fn(e)
		})
	}
	c := history.NewChecker(opt)
	if err := scan(func(e history.Event) error { c.Add(e); return nil }); err != nil {
		return Run{}, err
	}
	run.Report = c.Finish()
	if len(run.Report.Violations) == 0 {
		return run, nil
	}
	var err error
	run.Examples, err = history.Examples(scan, history.Smallest(run.Report.Violations))
	return run, err
}
