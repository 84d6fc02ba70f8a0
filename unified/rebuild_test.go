package unified

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/view"
)

// ask posts rules and takes the request from the loop's hands.
func (f *feed) ask(rules view.Rules) {
	f.t.Helper()
	if outcome, err := f.u.Reprocess(f.t.Context(), rules); err != nil || outcome != architecture.Started {
		f.t.Fatalf("outcome %d, %v", outcome, err)
	}
	<-f.u.wake
	f.u.startRebuild(f.t.Context())
}

// prepared waits until a rebuild has nothing left to do but the switch.
func (f *feed) prepared() error {
	f.t.Helper()
	select {
	case err := <-f.u.rebuildDone():
		return err
	case <-time.After(90 * time.Second):
		f.t.Fatal("the rebuild hangs")
		return nil
	}
}

func (f *feed) rows(name view.Name) []view.Row {
	f.t.Helper()
	a, err := f.u.Answer(f.t.Context(), view.Query{View: name})
	if err != nil {
		f.t.Fatal(err)
	}
	return a.Rows
}

func TestReprocessCountsWhatItReplayed(t *testing.T) {
	f := newFeed(t, architecture.Config{Threads: 1})
	f.put(3_000)
	f.batch()
	f.ask(view.MerchandiseOnly)
	if err := f.prepared(); err != nil {
		t.Fatal(err)
	}
	if p := f.u.Status().Reprocess; !p.Running || p.Done != 3_000 || p.Total != 3_000 {
		t.Errorf("prepared: %+v, want 3000 of 3000 done", *p)
	}
	f.put(500)
	f.batch() // published under the old rules, so the switch has to bring it
	if p := f.u.Status().Reprocess; !p.Running || p.Done != 3_000 || p.Total != 3_500 {
		t.Errorf("a batch later: %+v, want 3000 of 3500 done", *p)
	}
	if err := f.u.finishRebuild(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s := f.u.Status()
	if p := s.Reprocess; p.Running || !p.Switched || p.Done != 3_500 || s.Rules != view.MerchandiseOnly {
		t.Errorf("switched: %+v under rules %d", *p, s.Rules)
	}
}

func TestFailedReprocessLeavesTheOldRulesServed(t *testing.T) {
	f := newFeed(t, architecture.Config{Threads: 1})
	f.put(3_000)
	f.batch()
	before := f.rows(view.RevenueByCountry)
	files := f.u.lake.Files(silver, "lines")
	if len(files) == 0 {
		t.Fatal("silver has no files")
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.Rename(files[0].Path, hidden); err != nil {
		t.Fatal(err)
	}
	f.ask(view.MerchandiseOnly)
	reason := f.prepared()
	if reason == nil {
		t.Fatal("a rebuild without silver did not fail")
	}
	if err := f.u.finishRebuild(t.Context(), reason); err != nil {
		t.Fatalf("the failure of a rebuild ends the process: %v", err)
	}
	s := f.u.Status()
	if p := s.Reprocess; p.Running || p.Switched || p.Failed == "" || p.Total != 3_000 || s.Rules != view.EveryLine {
		t.Errorf("after a failure: %+v under rules %d", *p, s.Rules)
	}
	if after := f.rows(view.RevenueByCountry); len(after) != len(before) {
		t.Errorf("%d rows, %d before the failure", len(after), len(before))
	}
	if err := os.Rename(hidden, files[0].Path); err != nil {
		t.Fatal(err)
	}
	f.put(500)
	f.batch()
	f.ask(view.MerchandiseOnly) // it can be asked for again
	if err := f.u.finishRebuild(t.Context(), f.prepared()); err != nil {
		t.Fatal(err)
	}
	if s := f.u.Status(); s.Rules != view.MerchandiseOnly || s.Coverage.Sum() != 3_500 {
		t.Errorf("the second try ended with rules %d at %s", s.Rules, s.Coverage)
	}
}

// BenchmarkSwitch times how long micro-batches stand still for a switch of rules
// with 500,000 lines of history, of which a micro-batch of 5,000 came meanwhile.
func BenchmarkSwitch(b *testing.B) {
	f := newFeed(b, architecture.Config{Threads: 1})
	for range 10 {
		f.put(50_000)
		f.batch()
	}
	rules := view.MerchandiseOnly
	var prepare time.Duration
	for b.Loop() {
		b.StopTimer()
		began := time.Now()
		f.ask(rules)
		err := f.prepared()
		prepare += time.Since(began)
		f.put(5_000)
		f.batch()
		b.StartTimer()
		if err := f.u.finishRebuild(b.Context(), err); err != nil {
			b.Fatal(err)
		}
		rules = 3 - rules // the other ones
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms-pause")
	b.ReportMetric(prepare.Seconds()*1000/float64(b.N), "ms-prepare")
}
