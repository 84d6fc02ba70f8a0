package unified

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/unified/lake"
)

// microBatch commits what was read, in the order that the guarantee demands.
func (u *Unified) microBatch(ctx context.Context) error {
	orders, customers, at := u.inbox.take()
	if at.Equal(u.current().Coverage) {
		return nil
	}
	began := time.Now()
	err := u.c.Guarantee.Commit(
		func() error { return u.process(ctx, orders, customers, at) },
		func() error { return u.dir.SaveOffsets(at) },
		func() error { return u.c.Faults.Point(betweenCommits) })
	if err != nil {
		return err
	}
	u.inbox.giveBack(orders)
	u.mu.Lock()
	u.committed = at
	u.mu.Unlock()
	u.durations.Since(architecture.Commit, began)
	return u.tidy(ctx)
}

// process takes records through bronze, silver and gold and publishes them.
func (u *Unified) process(ctx context.Context, orders []order, customers []customer, at coverage.Coverage) error {
	next := u.current()
	next.Coverage, next.Holds = at, coverage.Max(next.Holds, at)
	times, err := u.stage(ctx, orders, customers, &next)
	if err != nil {
		return fmt.Errorf("stage a micro-batch: %w", err)
	}
	if err := u.write(ctx, bronze, "orders", "SELECT * EXCLUDE (is_first) FROM staged_orders", at); err != nil {
		return err
	}
	if err := u.write(ctx, bronze, "customers", "SELECT * FROM staged_customers", at); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterBronze); err != nil {
		return err
	}
	if err := u.write(ctx, silver, "lines", "FROM "+stagedLines, at); err != nil {
		return err
	}
	if err := u.write(ctx, silver, "changes", "FROM "+stagedChanges, at); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterSilver); err != nil {
		return err
	}
	k := batch.Kernel{Params: u.c.Params, Rules: next.Rules}
	for i, kind := range view.Partials() {
		if err := u.toGold(ctx, next.Generation, k, kind, stagedLines, stagedChanges, at); err != nil {
			return err
		}
		if i == 3 {
			if err := u.c.Faults.Point(afterSomeGold); err != nil {
				return err
			}
		}
	}
	if err := u.lake.Flush(ctx); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterGold); err != nil {
		return err
	}
	return u.publish(ctx, next, times)
}

// What silver takes of the staged records.
const (
	stagedLines   = `(SELECT partition, "offset", event_id, kind, customer_id, country, stock_code, quantity, unit_price_milli, event_time_ms FROM staged_orders WHERE is_first)`
	stagedChanges = `(SELECT partition, "offset", customer_id, segment, valid_from_ms FROM staged_customers WHERE unusable IS NULL)`
)

// stage puts the records into tables that SQL works on, and says in which event times
// the lines lie. Go decodes and recognises ids, as it does for the other
// architectures; the views are SQL's.
func (u *Unified) stage(ctx context.Context, orders []order, customers []customer, next *published) (times stream.Times, err error) {
	for _, t := range []string{"staged_orders (" + bronzeOrderColumns + ", is_first BOOLEAN)", "staged_customers (" + bronzeCustomerColumns + ")"} {
		if err := u.db.Do(ctx, "make a staging table", "CREATE OR REPLACE TABLE "+t); err != nil {
			return times, err
		}
	}
	err = u.db.Append(ctx, "staged_orders", func(row func(...driver.Value) error) error {
		for i := range orders {
			r := &orders[i]
			if r.Unusable != "" {
				next.Unusable++
				if err := row(int32(r.partition), r.Offset, r.Value, r.Unusable, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, false); err != nil {
					return err
				}
				continue
			}
			l := &r.Line
			first := u.claim(r.partition, l, next)
			if first {
				times.Add(l.EventTimeMS)
			}
			if err := row(int32(r.partition), r.Offset, r.Value, nil, l.EventID, l.OrderID, l.Line, int32(l.Kind), l.CustomerID, l.Country,
				l.StockCode, l.Quantity, l.UnitPriceMilli, l.EventTimeMS, l.EmittedUS, l.Channel, first); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return times, err
	}
	err = u.db.Append(ctx, "staged_customers", func(row func(...driver.Value) error) error {
		for i := range customers {
			r := &customers[i]
			if r.Unusable != "" {
				next.Unusable++
				if err := row(int32(r.partition), r.Offset, r.Value, r.Unusable, nil, nil, nil, nil); err != nil {
					return err
				}
				continue
			}
			c := &r.Change
			if err := row(int32(r.partition), r.Offset, r.Value, nil, c.CustomerID, c.Segment, c.ValidFromMS, c.EmittedUS); err != nil {
				return err
			}
		}
		return nil
	})
	return times, err
}

// claim reports whether a line is the first of its id, and counts it otherwise.
func (u *Unified) claim(partition int, l *lineOf, next *published) bool {
	switch u.seen[partition].Claim(l) {
	case stream.First:
		next.Lines++
		return true
	case stream.Conflict:
		next.Conflicting++
	}
	next.Duplicate++
	return u.c.Faults.Bug(bugCountTwice)
}

// write commits the rows of a query to a table as one file; no rows, no commit.
func (u *Unified) write(ctx context.Context, namespace, name, query string, at coverage.Coverage) error {
	file, err := u.copyTo(ctx, namespace, name, query)
	if err != nil || file.Rows == 0 {
		return err
	}
	return u.lake.Add(ctx, namespace, name, file, at)
}

// copyTo writes a query's rows as a sealed Parquet file of a table, which is not
// committed yet. Without rows there is no file.
func (u *Unified) copyTo(ctx context.Context, namespace, name, query string) (lake.File, error) {
	path := u.lake.NewFile(namespace, name)
	var rows int64
	if err := u.db.QueryRowContext(ctx, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION snappy)", query, duck.Quote(path))).Scan(&rows); err != nil {
		return lake.File{}, fmt.Errorf("write %s: %w", path, err)
	}
	if rows == 0 {
		return lake.File{}, os.Remove(path)
	}
	return lake.Seal(path, rows)
}

// toGold makes a partial of some lines and changes, commits it to its table and
// keeps it as the table that addDeltas adds to what is served.
func (u *Unified) toGold(ctx context.Context, generation int, k batch.Kernel, kind view.Partial, lines, changes string, at coverage.Coverage) error {
	input := "(" + k.Counted(lines) + ")"
	if kind == view.Profiles {
		input = changes
	}
	rows := delta(generation, kind)
	if err := u.db.Do(ctx, "compute "+string(kind), fmt.Sprintf("CREATE OR REPLACE TABLE %s AS %s", rows, k.Partial(kind, input))); err != nil {
		return err
	}
	return u.write(ctx, gold(generation), string(kind), "SELECT * FROM "+rows, at)
}

// delta is the table with the rows that a partial gets next.
func delta(generation int, kind view.Partial) string {
	return fmt.Sprintf("delta_%d_%s", generation, kind)
}

// publish makes a batch durable and visible: the record first, then the tables
// that answers read.
func (u *Unified) publish(ctx context.Context, next published, times stream.Times) error {
	marks, err := u.snapshots(next.Generation)
	if err != nil {
		return err
	}
	next.Snapshots = marks
	found, err := u.crossings(ctx, next.Generation, next.Rules, stagedLines)
	if err != nil {
		return err
	}
	waiting, _ := u.alerts.Waiting()
	next.Alerts = append(waiting, found...)
	if err := u.inTransaction(ctx, "publish a micro-batch", func(tx *sql.Tx) error {
		if !u.c.Faults.Bug(bugForgetBatch) || next.Coverage.Orders[0]%7 != 0 {
			if err := addDeltas(ctx, tx, next.Generation); err != nil {
				return err
			}
		}
		return u.makeVisible(tx, next, times)
	}); err != nil {
		return err
	}
	u.alerts.Add(found...) // the record has them: none is written for a batch that is taken back
	return nil
}

// addDeltas adds a batch's rows to the tables that answers read.
func addDeltas(ctx context.Context, tx *sql.Tx, generation int) error {
	for _, kind := range view.Partials() {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s BY NAME SELECT * FROM %s", served(generation, kind), delta(generation, kind))); err != nil {
			return fmt.Errorf("serve %s: %w", kind, err)
		}
	}
	return nil
}

// makeVisible saves the record and then lets answers begin with the batch's rows.
func (u *Unified) makeVisible(tx *sql.Tx, next published, times stream.Times) error {
	u.serving.Lock()
	defer u.serving.Unlock()
	next.Want = u.state.Want // a request may have come meanwhile
	if err := u.savePublished(next); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterPublish); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	u.times.Merge(times)
	u.state = next
	u.commits.Add(1)
	u.announcer.Announce(next.Coverage.Clone(), int(next.Rules))
	return nil
}
