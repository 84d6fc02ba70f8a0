package unified

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/view"
)

const (
	// mergeAt is how many small files of a table are worth a merge.
	mergeAt = 12
	// smallBytes is the size up to which a file is merged with others.
	smallBytes = 8 << 20
	// growth and leastGrowth say when rows of equal keys are merged in a table that
	// answers read: when it has grown by one part in so many, and by so many rows.
	// So a row is merged a bounded number of times however long the history is.
	growth      = 4
	leastGrowth = 10_000
)

// upkeep keeps reading and committing cheap: it merges small files and rows of
// equal keys, and forgets old snapshots. One table has its turn after each
// micro-batch; what takes long runs beside the loop. Only the loop touches it.
type upkeep struct {
	turn    int
	retired int                    // generation of gold to be removed; 0: none
	merge   *merge                 // running; nil if none
	merged  map[view.Partial]int64 // rows of served tables when they were last merged
}

// merge is the work on one table, computed beside the micro-batches that go on.
type merge struct {
	table      tableOf
	generation int      // of gold, as it was at the start
	small      []string // files whose rows path will hold; none: nothing to merge
	path       string   // set once it is written
	served     int64    // leading rows of the served table that mergedTable will hold; 0: leave it
	began      time.Time
	cancel     context.CancelFunc
	done       chan error
}

// mergedTable is what a served table's rows are merged into before it takes its place.
const mergedTable = "merged"

func (m *merge) abandon() {
	m.cancel()
	<-m.done
}

// mergeDone is nil, and so never ready, where no merge runs.
func (u *Unified) mergeDone() <-chan error {
	if u.upkeep.merge == nil {
		return nil
	}
	return u.upkeep.merge.done
}

// tidy gives the next table its turn. It runs right after a batch was published:
// a table's current snapshot is then the published one, and no other is needed.
func (u *Unified) tidy(ctx context.Context) error {
	if old := u.upkeep.retired; old != 0 {
		u.upkeep.retired = 0
		return u.dropGeneration(ctx, old)
	}
	all := tables(u.current().Generation)
	t := all[u.upkeep.turn%len(all)]
	u.upkeep.turn++
	if u.rebuild != nil && t.namespace == silver { // it reads files that would go
		return nil
	}
	if m := u.upkeep.merge; m != nil && m.table == t { // its file is named by no snapshot yet
		return nil
	}
	if err := u.lake.Expire(ctx, t.namespace, t.name); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterExpire); err != nil {
		return err
	}
	if u.upkeep.merge != nil {
		return nil
	}
	return u.startMerge(ctx, t)
}

// startMerge begins the work that a table needs, if any.
func (u *Unified) startMerge(ctx context.Context, t tableOf) error {
	now := u.current()
	m := &merge{table: t, generation: now.Generation, small: small(u.lake.Files(t.namespace, t.name)), began: time.Now(), done: make(chan error, 1)}
	if len(m.small) < mergeAt {
		m.small = nil
	}
	if t.isGold() {
		var err error
		if m.served, err = u.grown(ctx, now.Generation, view.Partial(t.name)); err != nil {
			return err
		}
	}
	if len(m.small) == 0 && m.served == 0 {
		return nil
	}
	k := batch.Kernel{Params: u.c.Params, Rules: now.Rules}
	ctx, m.cancel = context.WithCancel(ctx)
	u.upkeep.merge = m
	go func() { m.done <- u.computeMerge(ctx, m, k) }()
	return nil
}

func small(files []string) []string {
	return slices.DeleteFunc(files, func(f string) bool {
		info, err := os.Stat(f)
		return err != nil || info.Size() > smallBytes
	})
}

// grown is the number of rows in a served table if it has grown enough to be
// worth a merge, else 0.
func (u *Unified) grown(ctx context.Context, generation int, kind view.Partial) (rows int64, err error) {
	if err := u.db.QueryRowContext(ctx, "SELECT count(*) FROM "+served(generation, kind)).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count rows of %s: %w", kind, err)
	}
	last := u.upkeep.merged[kind]
	if rows-last < max(leastGrowth, last/growth) {
		return 0, nil
	}
	return rows, nil
}

// computeMerge writes the merged file and fills the merged table.
func (u *Unified) computeMerge(ctx context.Context, m *merge, k batch.Kernel) error {
	kind := view.Partial(m.table.name)
	if len(m.small) > 0 {
		query := "SELECT * FROM " + readParquet(m.small)
		if m.table.isGold() {
			query = k.Merge(kind, readParquet(m.small))
		}
		var err error
		if m.path, err = u.copyTo(ctx, m.table.namespace, m.table.name, query); err != nil {
			return err
		}
	}
	if m.served == 0 {
		return nil
	}
	// Rows are only ever appended, so the leading ones stay what they are.
	leading := fmt.Sprintf("(SELECT * FROM %s WHERE rowid < %d)", served(m.generation, kind), m.served)
	return u.db.Do(ctx, "merge rows of "+m.table.name, fmt.Sprintf("CREATE OR REPLACE TABLE %s AS %s", mergedTable, k.Merge(kind, leading)))
}

// finishMerge puts what a merge made in its place. The next published batch names
// the table's new snapshot; until then a crash takes the table back to the small
// files, which are still there.
func (u *Unified) finishMerge(ctx context.Context, err error) error {
	m := u.upkeep.merge
	u.upkeep.merge = nil
	m.cancel()
	if err != nil {
		return fmt.Errorf("merge small files of %s.%s: %w", m.table.namespace, m.table.name, err)
	}
	if len(m.small) > 0 {
		if err := u.lake.Replace(ctx, m.table.namespace, m.table.name, m.small, m.path, u.current().Coverage); err != nil {
			return err
		}
	}
	if m.served > 0 {
		if err := u.serveMerged(ctx, m); err != nil {
			return err
		}
	}
	u.durations.Since(architecture.Compaction, m.began)
	return u.c.Faults.Point(afterCompaction)
}

// serveMerged puts the merged table, with the rows that came meanwhile, in the
// place of the served one. Answers under way keep what they began with.
func (u *Unified) serveMerged(ctx context.Context, m *merge) error {
	kind := view.Partial(m.table.name)
	name := served(m.generation, kind)
	return u.inTransaction(ctx, "merge rows of "+name, func(tx *sql.Tx) error {
		var rows int64
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM "+mergedTable).Scan(&rows); err != nil {
			return err
		}
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO %s BY NAME SELECT * FROM %s WHERE rowid >= %d", mergedTable, name, m.served),
			"DROP TABLE " + name,
			fmt.Sprintf("ALTER TABLE %s RENAME TO %s", mergedTable, name),
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		u.upkeep.merged[kind] = rows
		return tx.Commit()
	})
}

// inTransaction runs f in a transaction of the served tables, which f commits.
func (u *Unified) inTransaction(ctx context.Context, purpose string, f func(*sql.Tx) error) error {
	tx, err := u.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", purpose, err)
	}
	if err := f(tx); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", purpose, err), tx.Rollback())
	}
	return nil
}

// abandonMerge stops a merge whose table is about to go.
func (u *Unified) abandonMerge() {
	if m := u.upkeep.merge; m != nil {
		m.abandon()
		u.upkeep.merge = nil
	}
}
