package lambda

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/view"
)

// A batch under new rules that fails leaves the old ones served, says why and how
// far it came, and a later one may succeed.
func TestFailedReprocessKeepsTheOldRules(t *testing.T) {
	const lines = 1000
	f := newFixture(t, 2, never)
	l := f.open()
	stop := f.run(l)
	f.sales(0, lines)
	f.covered(l, lines)
	kinds := view.Partials()
	last := filepath.Join(l.viewsDir(1), string(kinds[len(kinds)-1])+".parquet")
	if err := os.MkdirAll(last, 0o755); err != nil { // no file can be written there
		t.Fatal(err)
	}
	ask := func() {
		t.Helper()
		if o, err := l.Reprocess(t.Context(), view.MerchandiseOnly); o != architecture.Started || err != nil {
			t.Fatalf("outcome %d, %v", o, err)
		}
		eventually(t, "the end of the reprocess", func() bool { return !l.Status().Reprocess.Running })
	}
	ask()
	if p := l.Status().Reprocess; p.Failed == "" || p.Switched || p.Total != lines || p.Done != lines*8/10 {
		t.Errorf("after a failure in the last of ten passes but one: %+v", p)
	}
	if a, err := l.Answer(t.Context(), view.Query{View: view.TopProducts}); err != nil || a.Rules != view.EveryLine || a.Coverage.Sum() != lines {
		t.Errorf("rules %d at %s, %v; want the old rules and all lines", a.Rules, a.Coverage, err)
	}
	ask()
	if p := l.Status().Reprocess; p.Failed != "" || !p.Switched || p.Done != lines || p.Total != lines {
		t.Errorf("after it succeeded: %+v", p)
	}
	stop()
	again := f.open()
	if got := again.Coverage().Latest().Rules; got != int(view.MerchandiseOnly) {
		t.Errorf("rules %d after a restart, want those that were switched to", got)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

// A reprocess does not wait for the end of a batch under the old rules.
func TestReprocessPreemptsABatch(t *testing.T) {
	f := newFixture(t, 2, time.Millisecond) // batches follow each other without a pause
	l := f.open()
	f.run(l)
	f.sales(0, 20_000)
	f.covered(l, 20_000)
	for _, want := range []view.Rules{view.MerchandiseOnly, view.EveryLine, view.MerchandiseOnly} {
		runs := l.Status().Batch.Runs
		eventually(t, "another batch", func() bool { return l.Status().Batch.Runs > runs })
		if o, err := l.Reprocess(t.Context(), want); o != architecture.Started || err != nil {
			t.Fatalf("outcome %d, %v", o, err)
		}
		eventually(t, "the switch", func() bool { return l.Coverage().Latest().Rules == int(want) })
	}
	if s := l.Status(); s.Batch.Preempted == 0 || s.Batch.Preempted > 3 || s.Coverage.Sum() != 20_000 {
		t.Errorf("%d batches given up for three reprocesses, coverage %s", s.Batch.Preempted, s.Coverage)
	}
}
