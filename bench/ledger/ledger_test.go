package ledger_test

import (
	"testing"
	"time"

	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/common/coverage"
	"archbench/common/serving"
)

func at(us int64, orders, customers int64) serving.Announced {
	return serving.Announced{At: time.UnixMicro(us), Coverage: coverage.Coverage{Orders: coverage.Vector{orders}, Customers: coverage.Vector{customers}}}
}

func TestFreshness(t *testing.T) {
	sent := &load.Sent{Orders: [][]int64{{1000, 2000, 3000, 4000}}, Customers: [][]int64{{1500}}}
	window := ledger.Window{From: 1000, To: 4000} // the last order is outside
	f, err := ledger.Measure(sent, []serving.Announced{at(1100, 0, 0), at(2100, 2, 0), at(3500, 3, 1)}, window, time.UnixMicro(9000))
	if err != nil {
		t.Fatal(err)
	}
	// 2100-1000, 2100-2000, 3500-3000, 3500-1500
	if f.TotalCount() != 4 || f.Min() != 100 || f.Max() != 2000 || f.Announcements != 2 || f.Never != 0 {
		t.Errorf("count %d min %d max %d announcements %d never %d", f.TotalCount(), f.Min(), f.Max(), f.Announcements, f.Never)
	}
}

// After a crash coverage falls back; what was lost counts when it is covered again.
func TestFreshnessAfterCrash(t *testing.T) {
	sent := &load.Sent{Orders: [][]int64{{1000, 1000}}, Customers: [][]int64{{}}}
	f, err := ledger.Measure(sent, []serving.Announced{at(1100, 2, 0), at(5000, 1, 0), at(6000, 2, 0)}, ledger.Window{From: 0, To: 9000}, time.UnixMicro(9000))
	if err != nil {
		t.Fatal(err)
	}
	if f.Min() != 100 || f.Max()/10 != 500 { // three digits
		t.Errorf("min %d max %d, want 100 and 5000", f.Min(), f.Max())
	}
	f, err = ledger.Measure(sent, []serving.Announced{at(1100, 2, 0), at(5000, 1, 0)}, ledger.Window{From: 0, To: 9000}, time.UnixMicro(9000))
	if err != nil || f.Never != 1 || f.Max()/10 != 800 {
		t.Errorf("never %d max %d %v, want one event with its age, 8000", f.Never, f.Max(), err)
	}
}

func TestFreshnessRefusesNonsense(t *testing.T) {
	sent := &load.Sent{Orders: [][]int64{{1000}}, Customers: [][]int64{{}}}
	if _, err := ledger.Measure(sent, []serving.Announced{at(500, 1, 0)}, ledger.Window{To: 9000}, time.UnixMicro(9000)); err == nil {
		t.Error("an event that was visible before it was due passed")
	}
	if _, err := ledger.Measure(sent, []serving.Announced{at(2000, 2, 0)}, ledger.Window{To: 9000}, time.UnixMicro(9000)); err == nil {
		t.Error("coverage of an event that was never sent passed")
	}
}

func TestAge(t *testing.T) {
	sent := &load.Sent{Orders: [][]int64{{1000, 2000, 3000}}, Customers: [][]int64{{2500}}}
	for _, c := range []struct{ orders, customers, now, want int64 }{
		{3, 1, 9000, 0}, {2, 1, 9000, 6000}, {2, 0, 9000, 6500}, {2, 0, 2800, 300}, {3, 1, 2000, 0}, {2, 1, 2900, 0},
	} {
		a := at(0, c.orders, c.customers)
		if got := ledger.Age(sent, a.Coverage, time.UnixMicro(c.now), 0); got != c.want {
			t.Errorf("%+v: age %d", c, got)
		}
	}
	if got := ledger.Age(sent, coverage.Coverage{Orders: coverage.Vector{0}, Customers: coverage.Vector{1}}, time.UnixMicro(9000), 2000); got != 0 {
		t.Errorf("history counts: age %d", got)
	}
}
