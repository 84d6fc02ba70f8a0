package ledger_test

import (
	"testing"

	"archbench/bench/ledger"
	"archbench/common/coverage"
)

func TestAlertTimes(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{{{IntendedUS: 100}, {IntendedUS: 200}, {IntendedUS: 300}, {IntendedUS: 400}, {IntendedUS: 900}}}}
	times, err := l.AlertTimes([]ledger.Alerted{{0, 0, 150}, {0, 1, 260}, {0, 2, 420}, {0, 3, 420}, {0, 4, 950}, {0, 1, 0}}, ledger.Window{FromUS: 200, ToUS: 900}, 1200)
	if err != nil {
		t.Fatal(err)
	}
	if times.TotalCount() != 4 || times.Never != 1 || times.Moments != 3 || times.Min() != 20 || times.Max() != 1000 {
		t.Errorf("%d times from %d to %d, %d never, %d moments", times.TotalCount(), times.Min(), times.Max(), times.Never, times.Moments)
	}
	if _, err := l.AlertTimes([]ledger.Alerted{{0, 1, 199}}, ledger.Window{ToUS: 900}, 1200); err == nil {
		t.Error("an alert that came before its line was due was measured")
	}
}

func TestSwitchAgainstAnnouncements(t *testing.T) {
	at := func(rules int, offset int64) ledger.Announced {
		return ledger.Announced{Rules: rules, Coverage: coverage.Coverage{Orders: coverage.Vector{offset}, Customers: coverage.Vector{0}}}
	}
	announced := []ledger.Announced{at(1, 5), at(1, 9), at(2, 12), at(2, 20)}
	for from, ok := range map[int64]bool{8: false, 9: true, 12: true, 13: false} {
		if err := ledger.CheckSwitch(announced, at(2, from)); (err == nil) != ok {
			t.Errorf("from %d on: %v", from, err)
		}
	}
}
