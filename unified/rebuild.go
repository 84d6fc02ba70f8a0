package unified

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/fault"
	"archbench/common/view"
	"archbench/unified/lake"
)

const (
	// nearRecords is how far, in records, the new gold may lie behind when the loop
	// takes it over: about what a micro-batch holds at a high rate.
	nearRecords = 10_000
	// mostRounds bounds the rounds of catching up where the load leaves no end.
	mostRounds = 20
)

// rebuild is a reprocess under way: a generation of gold under the new rules,
// made from silver. Its goroutine alone touches that generation until it is done.
type rebuild struct {
	generation int
	rules      view.Rules
	reached    coverage.Coverage // what the new gold holds
	cancel     context.CancelFunc
	done       chan error
}

func (r *rebuild) abandon() {
	r.cancel()
	<-r.done
}

// rebuildDone is nil, and so never ready, where no rebuild runs.
func (u *Unified) rebuildDone() <-chan error {
	if u.rebuild == nil {
		return nil
	}
	return u.rebuild.done
}

// startDueRebuild begins a rebuild that was asked for. A rebuild takes silver by
// offsets, so it waits until silver holds no records that are still to come again.
func (u *Unified) startDueRebuild(ctx context.Context) {
	if now := u.current(); u.rebuildDue && now.Coverage.AtLeast(now.Holds) {
		u.rebuildDue = false
		u.startRebuild(ctx)
	}
}

// startRebuild computes the new gold beside the micro-batches that go on. It ends
// early only by being abandoned, so every error it gives is a failure.
func (u *Unified) startRebuild(ctx context.Context) {
	now := u.current()
	ctx, cancel := context.WithCancel(ctx)
	r := &rebuild{generation: now.Generation + 1, rules: now.Want, reached: coverage.Zero(u.dir.Partitions), cancel: cancel, done: make(chan error, 1)}
	u.rebuild = r
	go func() { r.done <- u.prepare(ctx, r) }()
}

// prepare makes the new gold of all that is published, and then of what came
// meanwhile, until little is left to do for the switch.
func (u *Unified) prepare(ctx context.Context, r *rebuild) error {
	for _, t := range goldTables(r.generation) {
		if err := u.lake.Ensure(ctx, t.namespace, t.name, lake.Columns(t.columns)); err != nil {
			return err
		}
	}
	if err := u.loadGold(ctx, r.generation); err != nil {
		return err
	}
	for range mostRounds {
		to := u.current().Coverage
		if err := u.extend(ctx, r, to); err != nil {
			return err
		}
		if u.current().Coverage.Sum()-to.Sum() <= nearRecords {
			break
		}
	}
	return nil
}

// extend brings the new gold from what it holds up to a published vector.
func (u *Unified) extend(ctx context.Context, r *rebuild, to coverage.Coverage) error {
	lines := u.between("lines", lineColumns, r.reached.Orders, to.Orders)
	changes := u.between("changes", batch.ChangeColumns, r.reached.Customers, to.Customers)
	k := batch.Kernel{Params: u.c.Params, Rules: r.rules}
	kinds := view.Partials()
	from, records := r.reached.Sum(), to.Sum()-r.reached.Sum()
	for i, kind := range kinds {
		if err := u.toGold(ctx, r.generation, k, kind, lines, changes, to); err != nil {
			return err
		}
		u.report(from + records*int64(i+1)/int64(len(kinds)))
	}
	if err := u.lake.Flush(ctx); err != nil {
		return err
	}
	if u.c.Faults.Bug(alerts.BugShadow) {
		found, err := u.crossings(ctx, r.generation, r.rules, lines)
		if err != nil {
			return err
		}
		u.alerts.Add(found...)
	}
	r.reached = to
	return u.inTransaction(ctx, "fill the new gold's tables", func(tx *sql.Tx) error {
		if err := addDeltas(ctx, tx, r.generation); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// report says how many records have been replayed. While some of the partials are
// made of a stretch of the history, that share of its records counts as replayed.
func (u *Unified) report(done int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reprocess.Done = done
}

// between is the relation of silver's rows from one vector up to another.
func (u *Unified) between(name, columns string, from, to coverage.Vector) string {
	files := u.lake.Files(silver, name)
	if len(files) == 0 {
		return noRows(columns)
	}
	least := from[0]
	var stretches []string
	for p, o := range from {
		least = min(least, o)
		stretches = append(stretches, fmt.Sprintf(`partition = %d AND "offset" >= %d AND "offset" < %d`, p, o, to[p]))
	}
	// The first condition is the one that lets whole row groups be skipped.
	return fmt.Sprintf(`(SELECT * FROM %s WHERE "offset" >= %d AND (%s))`, readParquet(files), least, strings.Join(stretches, " OR "))
}

// noRows is an empty relation with the columns of a table definition.
func noRows(columns string) string {
	var casts []string
	for _, c := range strings.Split(columns, ", ") {
		column, kind, _ := strings.Cut(c, " ")
		casts = append(casts, fmt.Sprintf("NULL::%s AS %s", kind, column))
	}
	return "(SELECT " + strings.Join(casts, ", ") + " WHERE false)"
}

// finishRebuild brings the new gold up to what is published and switches to it.
// err is how the preparation ended. A failure leaves the old rules served.
func (u *Unified) finishRebuild(ctx context.Context, err error) error {
	r := u.rebuild
	u.rebuild = nil
	r.cancel()
	if err == nil {
		err = u.c.Faults.Point(afterRebuild)
	}
	if err == nil {
		err = u.extend(ctx, r, u.current().Coverage)
	}
	switch {
	case errors.Is(err, fault.ErrCrash):
		return err
	case err != nil:
		return u.giveUp(ctx, r, err)
	}
	return u.switchTo(r)
}

// giveUp forgets the request, so that it can be made again, and the new gold.
func (u *Unified) giveUp(ctx context.Context, r *rebuild, reason error) error {
	u.c.Logger.Error("the reprocess failed, the old rules stay", "rules", r.rules, "error", reason)
	if err := u.forgetRequest(); err != nil {
		return errors.Join(fmt.Errorf("reprocess to rules %d: %w", r.rules, reason), err)
	}
	total := u.current().Coverage.Sum()
	u.mu.Lock()
	u.reprocess.Running, u.reprocess.Failed, u.reprocess.Seconds = false, reason.Error(), time.Since(u.requested).Seconds()
	u.reprocess.Total = total
	u.mu.Unlock()
	return u.dropGeneration(ctx, r.generation)
}

func (u *Unified) forgetRequest() error {
	u.serving.Lock()
	defer u.serving.Unlock()
	next := u.state
	next.Want = 0
	if err := u.savePublished(next); err != nil {
		return err
	}
	u.state = next
	return nil
}

// switchTo makes the new generation the served one: one durable record names it
// and its rules. The old one is removed after the next batch, which waits already.
func (u *Unified) switchTo(r *rebuild) error {
	old, err := u.serve(r)
	if err != nil {
		return err
	}
	u.abandonMerge()
	clear(u.upkeep.merged)
	u.upkeep.retired = old
	return nil
}

func (u *Unified) serve(r *rebuild) (old int, err error) {
	u.serving.Lock()
	defer u.serving.Unlock()
	next := u.state
	next.Generation, next.Rules, next.Want = r.generation, r.rules, 0
	next.Reigns = append(slices.Clone(next.Reigns), architecture.Reign{Rules: r.rules, From: next.Coverage})
	if next.Snapshots, err = u.snapshots(r.generation); err != nil {
		return 0, err
	}
	if err := u.savePublished(next); err != nil {
		return 0, err
	}
	if err := u.c.Faults.Point(afterSwitch); err != nil {
		return 0, err
	}
	old, u.state = u.state.Generation, next
	u.announcer.Announce(next.Coverage.Clone(), int(next.Rules))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reprocess = &architecture.Progress{Rules: r.rules, Switched: true, Done: next.Coverage.Sum(), Total: next.Coverage.Sum(), Seconds: time.Since(u.requested).Seconds()}
	return old, nil
}

// dropGeneration removes a generation of gold from memory and from the lake.
func (u *Unified) dropGeneration(ctx context.Context, generation int) error {
	for _, kind := range view.Partials() {
		for _, table := range []string{served(generation, kind), delta(generation, kind)} {
			if err := u.db.Do(ctx, "drop a generation of gold", "DROP TABLE IF EXISTS "+table); err != nil {
				return err
			}
		}
	}
	return u.dropGold(ctx, gold(generation))
}
