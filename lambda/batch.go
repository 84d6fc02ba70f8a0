package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/durable"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/lambda/master"
)

// batchView is what the batch layer made of a prefix. It does not change.
type batchView struct {
	at    coverage.Coverage
	rules view.Rules
	state *stream.State
}

// pointer is the durable record that names the batch view that is served. It is
// the switch of a reprocess.
type pointer struct {
	Number   int               `json:"number"` // of the batch view; 0: none yet
	Rules    view.Rules        `json:"rules"`
	Coverage coverage.Coverage `json:"coverage"`
	Want     view.Rules        `json:"want,omitempty"` // rules asked for and not yet served
}

const (
	pointerName    = "batch-pointer"
	pointerVersion = 1
)

func (l *Lambda) loadPointer() (pointer, error) {
	p := pointer{Rules: l.c.Rules, Coverage: coverage.Zero(l.dir.Partitions)}
	path := filepath.Join(l.c.Dir, pointerName)
	content, err := durable.Load(path, pointerName, pointerVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return p, &durable.Damaged{Path: path, Reason: "cannot be read: " + err.Error()}
	}
	return p, nil
}

func (l *Lambda) savePointer(p pointer) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the batch pointer: %w", err)
	}
	return durable.Save(filepath.Join(l.c.Dir, pointerName), pointerName, pointerVersion, content)
}

func (l *Lambda) viewsDir(number int) string {
	return filepath.Join(l.c.Dir, "batch", strconv.Itoa(number))
}

// loadBatch loads the batch view that the pointer names and removes others,
// which a crash left.
func (l *Lambda) loadBatch(ctx context.Context, p pointer) (*batchView, error) {
	v := &batchView{at: p.Coverage, rules: p.Rules, state: stream.NewState(l.c.Params, p.Rules)}
	if !l.master.Coverage().AtLeast(p.Coverage) {
		return nil, &durable.Damaged{Path: filepath.Join(l.c.Dir, pointerName), Reason: "names a batch view that covers more than the master dataset: remove the data directory to build the state anew from the log"}
	}
	entries, err := os.ReadDir(filepath.Join(l.c.Dir, "batch"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the batch views: %w", err)
	}
	for _, e := range entries {
		if e.Name() != strconv.Itoa(p.Number) {
			if err := os.RemoveAll(filepath.Join(l.c.Dir, "batch", e.Name())); err != nil {
				return nil, fmt.Errorf("remove a batch view that a crash left: %w", err)
			}
		}
	}
	if p.Number == 0 {
		return v, nil
	}
	return v, l.fill(ctx, v, p.Number)
}

// fill reads a batch view's files into memory.
func (l *Lambda) fill(ctx context.Context, v *batchView, number int) error {
	for _, kind := range view.Partials() {
		path := filepath.Join(l.viewsDir(number), string(kind)+".parquet")
		query := fmt.Sprintf("SELECT %s FROM read_parquet(%s)", columns(kind.Schema()), duck.Quote(path))
		if err := batch.Scan(ctx, l.db, kind.Schema(), query, func(r view.Row) { v.state.MergeRow(kind, r) }); err != nil {
			return fmt.Errorf("load the batch view %s: %w", path, err)
		}
	}
	return nil
}

func columns(s view.Schema) string {
	quoted := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		quoted[i] = `"` + c.Name + `"`
	}
	return strings.Join(quoted, ", ")
}

// batchLoop runs the batch layer at every interval; one that outlasts it is
// followed at once by the next. A reprocess is a run under other rules.
func (l *Lambda) batchLoop(ctx context.Context) error {
	next := time.Now().Add(l.c.BatchInterval)
	for {
		select {
		case <-time.After(time.Until(next)):
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		began := time.Now()
		l.mu.Lock()
		p := l.pointer
		l.mu.Unlock()
		if err := l.runBatch(ctx, p); err != nil {
			return err
		}
		l.mu.Lock()
		l.layer.Runs++
		l.layer.LastSeconds = time.Since(began).Seconds()
		l.layer.IntervalSeconds = began.Sub(next.Add(-l.c.BatchInterval)).Seconds()
		l.mu.Unlock()
		next = began.Add(l.c.BatchInterval)
	}
}

// runBatch seals what was read, computes all partials from scratch under the
// rules that are wanted, and swaps them in.
func (l *Lambda) runBatch(ctx context.Context, p pointer) error {
	rules := p.Rules
	if p.Want != 0 {
		rules = p.Want
	}
	at, err := l.seal(ctx, rules)
	if err != nil {
		return err
	}
	if err := l.master.MergeSmall(ctx, func() error { return l.c.Faults.Point(afterMerge) }); err != nil {
		return err
	}
	number := p.Number + 1
	v := &batchView{at: at, rules: rules, state: stream.NewState(l.c.Params, rules)}
	if err := l.compute(ctx, rules, number); err != nil {
		return fmt.Errorf("batch layer: %w", err)
	}
	if err := l.fill(ctx, v, number); err != nil {
		return err
	}
	if err := l.c.Faults.Point(afterBatch); err != nil {
		return err
	}
	return l.swapIn(v, number, p.Number)
}

// seal makes a segment of everything read so far and begins new spans there,
// under the served rules and, for a reprocess, the wanted ones. What it takes
// from the partitions is either in the manifest or the process must not go on:
// so a stop does not interrupt it, and after a failure it fails for ever.
func (l *Lambda) seal(ctx context.Context, wanted view.Rules) (at coverage.Coverage, err error) {
	if l.broken != nil {
		return at, l.broken
	}
	defer func() { l.broken = err }()
	ctx = context.WithoutCancel(ctx)
	l.mu.Lock()
	rules := []view.Rules{l.pointer.Rules}
	l.mu.Unlock()
	if wanted != rules[0] {
		rules = append(rules, wanted)
	}
	at = coverage.Zero(len(l.partitions))
	var lines []master.Line
	var changes []master.Change
	var unusable int64
	for n, p := range l.partitions {
		pos, ls, cs, u := p.seal(rules)
		at.Orders[n], at.Customers[n] = pos.orders, pos.customers
		lines, changes, unusable = append(lines, ls...), append(changes, cs...), unusable+u
	}
	if l.master.Coverage().Equal(at) {
		return at, nil
	}
	g, err := l.master.Write(ctx, at, lines, changes)
	if err != nil {
		return at, err
	}
	if err := l.c.Faults.Point(afterSegment); err != nil {
		return at, err
	}
	if err := l.master.Commit(g, unusable); err != nil {
		return at, err
	}
	l.mu.Lock()
	l.committed = at.Clone()
	l.mu.Unlock()
	l.commits.Add(1)
	return at, l.c.Faults.Point(afterManifest)
}

// compute runs the SQL kernel over all segments and writes every partial.
func (l *Lambda) compute(ctx context.Context, rules view.Rules, number int) error {
	dir := l.viewsDir(number)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the batch view's directory: %w", err)
	}
	k := batch.Kernel{Params: l.c.Params, Rules: rules}
	if err := l.db.Do(ctx, "deduplicate the master dataset", "CREATE OR REPLACE TABLE firsts AS "+k.Distinct(l.master.Lines())); err != nil {
		return err
	}
	for _, kind := range view.Partials() {
		input := "firsts"
		if kind == view.Profiles {
			input = l.master.Changes()
		}
		path := filepath.Join(dir, string(kind)+".parquet")
		if err := l.db.Do(ctx, "compute "+string(kind), fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", k.Partial(kind, input), duck.Quote(path))); err != nil {
			return err
		}
	}
	if err := l.db.Do(ctx, "tidy up after a batch", "DROP TABLE firsts"); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// swapIn makes a batch view the served one: the pointer first, then memory, then
// the spans that it covers are forgotten.
func (l *Lambda) swapIn(v *batchView, number, old int) error {
	l.swap.Lock()
	defer l.swap.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	next := pointer{Number: number, Rules: v.rules, Coverage: v.at, Want: l.pointer.Want}
	if next.Want == v.rules {
		next.Want = 0
	}
	if err := l.savePointer(next); err != nil {
		return err
	}
	if err := l.c.Faults.Point(afterPointer); err != nil {
		return err
	}
	switched := next.Rules != l.pointer.Rules
	l.pointer, l.batch = next, v
	l.plantSeamBugs(v)
	for n, p := range l.partitions {
		p.forget(position{v.at.Orders[n], v.at.Customers[n]}, []view.Rules{v.rules})
	}
	if switched {
		l.announcer.Announce(l.vector.Clone(), int(v.rules))
		l.reprocess = &architecture.Progress{Rules: v.rules, Switched: true, Done: l.vector.Sum(), Total: l.vector.Sum(), Seconds: time.Since(l.requested).Seconds()}
	}
	if old == 0 {
		return nil
	}
	if err := os.RemoveAll(l.viewsDir(old)); err != nil {
		return fmt.Errorf("remove the batch view that was replaced: %w", err)
	}
	return nil
}

// plantSeamBugs moves the seam that the serving layer believes in. The check at
// every read finds both.
func (l *Lambda) plantSeamBugs(v *batchView) {
	switch {
	case l.c.Faults.Bug(bugSeamGap) && v.at.Orders[0] > 0:
		v.at.Orders[0]--
	case l.c.Faults.Bug(bugSeamOverlap):
		v.at.Orders[0]++
	}
}
