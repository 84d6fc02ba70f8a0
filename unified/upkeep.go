package unified

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/view"
	"archbench/unified/lake"
)

const (
	// mergeAt is how many files of one tier are worth a merge.
	mergeAt = 12
	// tiers are those of files that are merged: below 256 KiB and below 2 MiB. Merging
	// files of one tier makes one of the next, so a row is rewritten once a tier, not with
	// each merge of what came after it. Larger files stay: merging twelve of them would
	// take a core from micro-batches for seconds.
	tiers          = 2
	firstTierBytes = 256 << 10
	tierBits       = 3 // a tier's files are so many times doubled in the next
	// growth and leastGrowth say when rows of equal keys are merged in a table that
	// answers read: when it has grown by one part in so many, and by so many rows.
	// So a row is merged a bounded number of times however long the history is.
	growth      = 4
	leastGrowth = 10_000
	// patience is how many micro-batches a merge may outlast. One that is starved longer is
	// waited for, so that files do not grow without end where processors are overloaded.
	patience = 24
)

// upkeep keeps reading and committing cheap: it merges small files and rows of
// equal keys, and forgets old snapshots. After each micro-batch one table in turn has
// its snapshots forgotten, and the table that needs it most is merged; what takes long
// runs in the background. Only the loop touches it.
type upkeep struct {
	turn    int
	counted int                    // gold tables whose rows were counted, for the turn of the next
	retired int                    // generation of gold to be removed; 0: none
	merge   *merge                 // running; nil if none
	merged  map[view.Partial]int64 // rows of served tables when they were last merged
}

// merge is the work on one table, computed beside the micro-batches that go on, with the
// time that they and answers leave.
type merge struct {
	table      tableOf
	generation int         // of gold, as it was at the start
	small      []lake.File // files whose rows large will hold; none: nothing to merge
	large      lake.File   // set once it is written
	served     int64       // leading rows of the served table that mergedTable will hold; 0: leave it
	began      time.Time
	outlasted  int // micro-batches
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
	m := u.upkeep.merge
	if !u.inUse(t) && (m == nil || m.table != t) { // a merge's file is named by no snapshot yet
		if err := u.lake.Expire(ctx, t.namespace, t.name); err != nil {
			return err
		}
		if err := u.c.Faults.Point(afterExpire); err != nil {
			return err
		}
	}
	if m == nil {
		return u.startMerge(ctx)
	}
	if m.outlasted++; m.outlasted < patience {
		return nil
	}
	return u.finishMerge(ctx, <-m.done)
}

// inUse reports whether a rebuild reads a table's files, which then have to stay.
func (u *Unified) inUse(t tableOf) bool { return u.rebuild != nil && t.namespace == silver }

// startMerge begins the merge that is due, if any. The choice does not depend on whose
// turn it is: a merge that outlasts a micro-batch would always cost the same table its turn.
func (u *Unified) startMerge(ctx context.Context) error {
	now := u.current()
	m := &merge{generation: now.Generation, began: time.Now(), done: make(chan error, 1)}
	for _, t := range tables(now.Generation) {
		if u.inUse(t) {
			continue
		}
		if files := mergeable(u.lake.Files(t.namespace, t.name)); len(files) > len(m.small) {
			m.table, m.small = t, files
		}
	}
	if len(m.small) == 0 {
		golden := goldTables(now.Generation)
		m.table = golden[u.upkeep.counted%len(golden)]
		u.upkeep.counted++
	}
	if m.table.isGold() {
		var err error
		if m.served, err = u.grown(ctx, now.Generation, view.Partial(m.table.name)); err != nil {
			return err
		}
	}
	if len(m.small) == 0 && m.served == 0 {
		return nil
	}
	k := batch.Kernel{Params: u.c.Params, Rules: now.Rules}
	ctx, m.cancel = context.WithCancel(ctx)
	u.upkeep.merge = m
	inBackground(m.done, func() error { return u.computeMerge(ctx, m, k) })
	return nil
}

// mergeable lists the files of the fullest tier that is worth a merge.
func mergeable(files []lake.File) []lake.File {
	var byTier [tiers][]lake.File
	for _, f := range files {
		if tier := tierOf(f.Bytes); tier < tiers {
			byTier[tier] = append(byTier[tier], f)
		}
	}
	fullest := slices.MaxFunc(byTier[:], func(a, b []lake.File) int { return len(a) - len(b) })
	if len(fullest) < mergeAt {
		return nil
	}
	return fullest
}

func tierOf(bytes int64) int {
	return (bits.Len64(uint64(bytes/firstTierBytes)) + tierBits - 1) / tierBits
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
		if m.large, err = u.copyTo(ctx, m.table.namespace, m.table.name, query); err != nil {
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
		if err := u.lake.Replace(ctx, m.table.namespace, m.table.name, m.small, m.large, u.current().Coverage); err != nil {
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
