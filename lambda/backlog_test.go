package lambda

import (
	"context"
	"testing"
	"time"

	"archbench/common/coverage"
)

// never is a batch interval that no test reaches.
const never = time.Hour

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come within %v", what, patience)
		}
	}
}

func (f *fixture) covered(l *Lambda, orders int64) {
	f.t.Helper()
	eventually(f.t, "coverage of everything sent", func() bool { return l.Coverage().Latest().Coverage.Sum() == orders })
}

func TestSegmentsAreWrittenBetweenBatches(t *testing.T) {
	f := newFixture(t, 2, never)
	l := f.open()
	l.backlog = newBacklog(limits{segment: 500, speed: 1 << 40})
	f.run(l)
	f.sales(0, 10_000)
	f.covered(l, 10_000)
	eventually(t, "a segment of what waited", func() bool { return l.Status().State["waiting_lines"] < 500 })
	if s := l.Status(); s.Batch.Runs != 0 || s.Commits < 2 || s.State["spans"] != 2 {
		t.Errorf("%d batches, %d commits, %d spans; want segments alone, and the spans as they were", s.Batch.Runs, s.Commits, s.State["spans"])
	}
}

func TestIntakeWaitsForSegments(t *testing.T) {
	f := newFixture(t, 1, never)
	l := f.open()
	l.backlog = newBacklog(limits{segment: 500, speed: 1 << 40})
	l.sealing.Lock() // no segment can be written
	f.run(l)
	f.sales(0, 10_000)
	eventually(t, "a full backlog", func() bool { return l.Status().State["waiting_lines"] >= 1000 })
	time.Sleep(50 * time.Millisecond) // more would come if nothing held it back
	if n := l.Status().State["waiting_lines"]; n > 1000+intakeChunk {
		t.Errorf("%d lines wait for a segment of 500, want intake to stop at 1000 and a batch of %d", n, intakeChunk)
	}
	l.sealing.Unlock()
	f.covered(l, 10_000)
}

func TestBatchBeginsEarlyUnderABackfill(t *testing.T) {
	f := newFixture(t, 2, never)
	l := f.open()
	l.backlog = newBacklog(limits{segment: 300, speed: 1000})
	stop := f.run(l)
	f.sales(0, 20_000)
	f.covered(l, 20_000)
	eventually(t, "batches before their time", func() bool { return l.Status().Batch.Runs >= 3 })
	stop()
	held, growing := int64(0), int64(0)
	for _, p := range l.partitions {
		p.mu.Lock()
		for _, s := range p.spans {
			held += s.to.orders - s.from.orders
		}
		growing += p.growing().records
		p.mu.Unlock()
	}
	if counted := l.backlog.growing; counted != growing {
		t.Errorf("%d records are counted that wait for a batch, the growing spans hold %d", counted, growing)
	}
	if most := int64(2*2*1000 + 4*2*intakeChunk); held > most { // two batches' worth and what was under way
		t.Errorf("the speed layer holds %d lines, want at most %d", held, most)
	}
}

// What a restart finds behind the seam waits for a batch like what comes from the log.
func TestRestoredRecordsWaitForABatch(t *testing.T) {
	b := newBacklog(limits{segment: 1 << 40, speed: 100})
	if b.restored(99) || !b.restored(101) {
		t.Error("want a batch to be due from 100 records on")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.wait(ctx); err == nil {
		t.Error("intake goes on at twice the limit")
	}
	b.sealed(1)
	if err := b.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A stop while intake waits for room keeps what was read.
func TestStopWhileIntakeWaits(t *testing.T) {
	f := newFixture(t, 1, never)
	l := f.open()
	l.backlog = newBacklog(limits{segment: 100, speed: 1 << 40})
	l.sealing.Lock()
	stop := f.run(l)
	f.sales(0, 5000)
	eventually(t, "a full backlog", func() bool { return l.Status().State["waiting_lines"] >= 200 })
	l.sealing.Unlock()
	stop()
	again := f.open()
	defer func() {
		if err := again.close(); err != nil {
			t.Error(err)
		}
	}()
	if was, is := l.Status().Coverage, again.Coverage().Latest().Coverage; !is.Equal(was) || is.Equal(coverage.Zero(1)) {
		t.Errorf("stopped at %s, came back at %s", was, is)
	}
}
