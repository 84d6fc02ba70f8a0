package stats_test

import (
	"strings"
	"testing"

	"archbench/bench/stats"
)

func filled(t *testing.T, n int64) stats.Histogram {
	t.Helper()
	h := stats.New()
	for us := int64(1); us <= n; us++ {
		if err := h.Record(us); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestPercentiles(t *testing.T) {
	p := filled(t, 1000).Percentiles(1000, "announcements")
	for name, c := range map[string]struct {
		got  *int64
		want int64
	}{"p50": {p.P50, 500}, "p90": {p.P90, 900}, "p99": {p.P99, 990}, "p99.9": {p.P999, 999}, "max": {p.Max, 1000}} {
		if c.got == nil || *c.got != c.want {
			t.Errorf("%s is %v, want %d", name, c.got, c.want)
		}
	}
	if p.Count != 1000 || p.Note != "" {
		t.Errorf("count %d, note %q", p.Count, p.Note)
	}
}

// A million events that few announcements covered support no tail.
func TestPercentilesNeedIndependentMoments(t *testing.T) {
	h := filled(t, 2000)
	for _, c := range []struct {
		moments   int64
		p99, p999 bool
		note      string
	}{
		{99, false, false, "too few announcements (99) for p99, which needs 100"},
		{100, true, false, "too few announcements (100) for p99.9, which needs 1000"},
		{999, true, false, "too few announcements (999) for p99.9"},
		{1000, true, true, ""},
	} {
		p := h.Percentiles(c.moments, "announcements")
		if (p.P99 != nil) != c.p99 || (p.P999 != nil) != c.p999 || !strings.HasPrefix(p.Note, c.note) || c.note == "" && p.Note != "" {
			t.Errorf("%d moments: p99 %v p99.9 %v note %q", c.moments, p.P99, p.P999, p.Note)
		}
	}
	if p := stats.New().Percentiles(0, "reads"); p.Count != 0 || p.P50 != nil || p.Max != nil {
		t.Errorf("of nothing: %+v", p)
	}
}

func TestOutOfRangeIsAnError(t *testing.T) {
	h := stats.New()
	for us, ok := range map[int64]bool{-1: false, 0: true, 3_600_000_000: true, 3_600_000_001: false} {
		if err := h.Record(us); (err == nil) != ok {
			t.Errorf("%d µs: %v", us, err)
		}
	}
	if h.TotalCount() != 2 {
		t.Errorf("%d recorded, want 2", h.TotalCount())
	}
}
