package architecture_test

import (
	"math"
	"sync"
	"testing"
	"time"

	"archbench/common/architecture"
)

func TestDurations(t *testing.T) {
	var d architecture.Durations
	if h, ok := d.Snapshot(architecture.Batch)[architecture.Batch]; !ok || h.Count != 0 || len(h.Within) != len(architecture.Bounds()) {
		t.Errorf("before any work: %+v", h)
	}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for _, took := range []time.Duration{0, time.Millisecond, 1500 * time.Microsecond, time.Minute, 24 * time.Hour} {
				d.Add(architecture.Commit, took)
			}
		})
	}
	workers.Wait()
	d.Since(architecture.Compaction, time.Now().Add(-time.Second))
	all := d.Snapshot(architecture.Batch)
	h := all[architecture.Commit]
	if h.Count != 20 || math.Abs(h.Seconds-4*(0.0025+60+86400)) > 1e-6 {
		t.Errorf("%+v", h)
	}
	for i, bound := range architecture.Bounds() {
		want := uint64(8) // 0 and 1 ms
		if bound >= 0.0015 {
			want += 4
		}
		if bound >= 60 {
			want += 4
		}
		if h.Within[i] != want {
			t.Errorf("%d within %v s, want %d", h.Within[i], bound, want)
		}
	}
	if c := all[architecture.Compaction]; c.Count != 1 || c.Seconds < 1 {
		t.Errorf("%+v", c)
	}
	h.Within[0] = 99 // a copy
	if d.Snapshot()[architecture.Commit].Within[0] != 8 {
		t.Error("a snapshot is no copy")
	}
}
