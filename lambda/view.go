package lambda

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/stream"
	"archbench/common/view"
)

// batchView is what the batch layer made of a prefix: a file for each partial,
// which answers read the part of that they need. Only the profiles are in memory,
// since any answer on segments may need any of them. It does not change.
type batchView struct {
	at       coverage.Coverage
	rules    view.Rules
	number   int      // of its directory; 0: there was no batch yet, and there are no files
	sums     []uint32 // of its files
	rows     int64    // in all of them
	repeated int      // the master dataset's repeated segments that it holds
	times    stream.Times
	profiles *stream.State

	reading sync.RWMutex // held for reading while an answer needs the files
}

// emptyView is that of no batch yet.
func (l *Lambda) emptyView(rules view.Rules) *batchView {
	return &batchView{at: coverage.Zero(l.dir.Partitions), rules: rules, profiles: stream.NewState(l.c.Params, rules)}
}

// openView looks at the files of a batch view, and loads its profiles.
func (l *Lambda) openView(ctx context.Context, v *batchView) error {
	for _, kind := range view.Partials() {
		if err := l.measure(ctx, v, kind); err != nil {
			return err
		}
	}
	return l.read(ctx, v, view.Profiles, batch.Whole(), func(r view.Row) { v.profiles.MergeRow(view.Profiles, r) })
}

// measure counts the rows of a partial and takes the times of its windows.
func (l *Lambda) measure(ctx context.Context, v *batchView, kind view.Partial) error {
	path := l.viewFile(v.number, kind)
	schema := kind.Schema()
	window := schema.Columns[schema.Window].Name
	var count int64
	var least, greatest sql.NullInt64
	row := l.db.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*), min(%[1]s), max(%[1]s) FROM read_parquet(%[2]s)", window, duck.Quote(path)))
	if err := row.Scan(&count, &least, &greatest); err != nil {
		return fmt.Errorf("look at the batch view %s: %w", path, err)
	}
	v.rows += count
	switch kind {
	case view.CountryWindows, view.CountryPanes, view.CustomerWindows, view.SessionFragments: // all lines are in the first of them
		v.times.Merge(stream.Times{Earliest: least.Int64, Latest: greatest.Int64, Any: least.Valid})
	}
	return nil
}

// read reads the rows of a part of a partial.
func (l *Lambda) read(ctx context.Context, v *batchView, kind view.Partial, part batch.Part, f func(view.Row)) error {
	if err := batch.ReadPartial(ctx, l.viewFile(v.number, kind), kind, part, f); err != nil {
		return fmt.Errorf("the batch view: %w", err)
	}
	return nil
}

// cutView reads what a query needs of a batch view, beside these cuts of the spans.
func (l *Lambda) cutView(ctx context.Context, v *batchView, q view.Query, spans []*stream.Cut) ([]*stream.Cut, error) {
	if v.number == 0 {
		return nil, nil
	}
	kind := q.View.Partial()
	rows := stream.NewCut(kind)
	if err := l.read(ctx, v, kind, l.needed(q, spans), rows.Add); err != nil {
		return nil, err
	}
	if q.View != view.RevenueBySegment {
		return []*stream.Cut{rows}, nil
	}
	customers := stream.Customers{}
	for _, c := range append(spans, rows) {
		c.AddCustomers(customers)
	}
	return []*stream.Cut{rows, v.profiles.Cut(q, customers)}, nil
}

// needed is the part of a partial that a query needs: the windows in its range and, of
// sessions, also those that reach a fragment in a span, with which they may be one.
func (l *Lambda) needed(q view.Query, spans []*stream.Cut) batch.Part {
	part := batch.Whole()
	part.From, part.To = stream.Range(l.c.Params, q)
	if q.View != view.CustomerSessions || part == batch.Whole() {
		return part
	}
	for _, c := range spans {
		if least, some := c.LeastWindow(); some {
			part.EndsFrom = min(part.EndsFrom, least-l.c.Params.SessionGap.Milliseconds())
		}
	}
	return part
}

// removeView removes the files of a batch view that is served no more, when the
// answers that read it have ended.
func (l *Lambda) removeView(v *batchView) error {
	v.reading.Lock()
	defer v.reading.Unlock()
	if v.number == 0 {
		return nil
	}
	if err := os.RemoveAll(l.viewsDir(v.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the batch view that was replaced: %w", err)
	}
	return nil
}
