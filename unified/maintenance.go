package unified

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/view"
	"archbench/unified/lake"
)

// rebuild is a reprocess under way: gold of the new rules, from silver as it was
// published at the start.
type rebuild struct {
	generation int
	rules      view.Rules
	base       published
	dir        string
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

// startRebuild computes the new gold beside the micro-batches that go on.
func (u *Unified) startRebuild(ctx context.Context) {
	base := u.current()
	ctx, cancel := context.WithCancel(ctx)
	r := &rebuild{generation: base.Generation + 1, rules: base.Want, base: base, dir: filepath.Join(u.c.Dir, "rebuild"), cancel: cancel, done: make(chan error, 1)}
	u.rebuild = r
	lines, err := u.lake.Files(ctx, silver, "lines") // the loop does not commit while it is here
	if err != nil {
		r.done <- err
		return
	}
	changes, err := u.lake.Files(ctx, silver, "changes")
	if err != nil {
		r.done <- err
		return
	}
	go func() { r.done <- u.compute(ctx, r, lines, changes) }()
}

// compute writes the partials of all of silver into files of their own.
func (u *Unified) compute(ctx context.Context, r *rebuild, lines, changes []string) error {
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("clear the rebuild's directory: %w", err)
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return fmt.Errorf("make the rebuild's directory: %w", err)
	}
	k := batch.Kernel{Params: u.c.Params, Rules: r.rules}
	for _, kind := range view.Partials() {
		files := lines
		if kind == view.Profiles {
			files = changes
		}
		if len(files) == 0 {
			continue
		}
		if _, err := u.copyTo(ctx, r.file(kind), k.Partial(kind, readParquet(files))); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) file(kind view.Partial) string {
	return filepath.Join(r.dir, string(kind)+".parquet")
}

// finishRebuild brings the new gold up to what is published and switches to it:
// one durable record names the new generation and its rules. err is how the
// rebuild ended.
func (u *Unified) finishRebuild(ctx context.Context, err error) error {
	r := u.rebuild
	u.rebuild = nil
	r.cancel()
	if err == nil {
		err = u.c.Faults.Point(afterRebuild)
	}
	if err != nil {
		return fmt.Errorf("reprocess to rules %d: %w", r.rules, err)
	}
	at := u.current().Coverage
	for _, t := range goldTables(r.generation) {
		if err := u.lake.Ensure(ctx, t.namespace, t.name, lake.Columns(t.columns)); err != nil {
			return err
		}
		if _, err := os.Stat(r.file(view.Partial(t.name))); err == nil {
			if err := u.write(ctx, t.namespace, t.name, "SELECT * FROM "+readParquet([]string{r.file(view.Partial(t.name))}), r.base.Coverage); err != nil {
				return err
			}
		}
	}
	lines, err := u.since(ctx, "lines", lineColumns, r.base.Coverage.Orders)
	if err != nil {
		return err
	}
	changes, err := u.since(ctx, "changes", batch.ChangeColumns, r.base.Coverage.Customers)
	if err != nil {
		return err
	}
	if err := u.toGold(ctx, r.generation, r.rules, lines, changes, at); err != nil {
		return err
	}
	if err := u.loadGold(ctx, r.generation); err != nil {
		return err
	}
	return u.switchTo(ctx, r)
}

// since is the relation of silver's rows at or behind a vector.
func (u *Unified) since(ctx context.Context, name, columns string, from []int64) (string, error) {
	files, err := u.lake.Files(ctx, silver, name)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		var casts []string
		for _, c := range strings.Split(columns, ", ") {
			column, kind, _ := strings.Cut(c, " ")
			casts = append(casts, fmt.Sprintf("NULL::%s AS %s", kind, column))
		}
		return "(SELECT " + strings.Join(casts, ", ") + " WHERE false)", nil
	}
	var where []string
	for p, o := range from {
		where = append(where, fmt.Sprintf(`partition = %d AND "offset" >= %d`, p, o))
	}
	return fmt.Sprintf("(SELECT * FROM %s WHERE %s)", readParquet(files), strings.Join(where, " OR ")), nil
}

func (u *Unified) switchTo(ctx context.Context, r *rebuild) error {
	u.serving.Lock()
	defer u.serving.Unlock()
	old := u.state.Generation
	next := u.state
	next.Generation, next.Rules, next.Want = r.generation, r.rules, 0
	next.Snapshots = u.snapshots(r.generation)
	if err := u.savePublished(next); err != nil {
		return err
	}
	if err := u.c.Faults.Point(afterSwitch); err != nil {
		return err
	}
	u.state = next
	u.announcer.Announce(next.Coverage.Clone(), int(next.Rules))
	u.mu.Lock()
	u.reprocess = &architecture.Progress{Rules: r.rules, Switched: true, Done: next.Coverage.Sum(), Total: next.Coverage.Sum(), Seconds: time.Since(u.requested).Seconds()}
	u.mu.Unlock()
	u.abandonMerge()
	clear(u.upkeep.merged)
	if err := u.dropServed(ctx, old); err != nil {
		return err
	}
	if err := u.dropGold(ctx, gold(old)); err != nil {
		return err
	}
	return os.RemoveAll(r.dir)
}
