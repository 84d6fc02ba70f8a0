package oracle_test

import (
	"testing"
	"time"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

func upTo(offset int64) coverage.Coverage {
	return coverage.Coverage{Orders: coverage.Vector{offset}, Customers: coverage.Vector{0}}
}

// The crossing line is the first, by offset, that brings the sum to the threshold;
// what comes before it in event time and later in the log does not matter.
func TestAlertsAreCrossingLines(t *testing.T) {
	b := newBook(t)
	post := sale(ten+2, 7, 1, 900_000)
	post.StockCode = "post"
	cancelled := sale(ten, 7, -1, 900_000)
	cancelled.Kind = event.Cancellation
	again := sale(ten+50, 7, 1, 400_000)
	again.EventID = "twice"
	b.lines(
		again, again, // 0, 1: a duplicate counts once
		cancelled,                         // 2: no sale
		post,                              // 3: rules 1 cross here with 1,300,000
		sale(ten+1, 7, 2, 300_000),        // 4: rules 2 cross here with exactly the threshold
		sale(ten+3, 7, 1, 5_000_000),      // 5: never a second time
		sale(ten, 0, 1, 5_000_000),        // 6: a guest
		sale(ten+minute, 7, 1, 1_000_000), // 7: the next window
	)
	for _, c := range []struct {
		name     string
		from, to int64
		rules    view.Rules
		want     []oracle.Alert
	}{
		{"rules 1", 0, 8, view.EveryLine, []oracle.Alert{{ten, 7, 1_300_000, 0, 3}, {ten + minute, 7, 1_000_000, 0, 7}}},
		{"rules 2", 0, 8, view.MerchandiseOnly, []oracle.Alert{{ten, 7, 1_000_000, 0, 4}, {ten + minute, 7, 1_000_000, 0, 7}}},
		{"from the crossing line on", 3, 7, view.EveryLine, []oracle.Alert{{ten, 7, 1_300_000, 0, 3}}},
		{"behind it", 4, 7, view.EveryLine, nil},
		{"before it", 0, 3, view.EveryLine, nil},
	} {
		got, err := b.h.Alerts(upTo(c.from), upTo(c.to), c.rules, b.params)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// Under policy bounded late lines bring no sum to the threshold.
func TestBoundedAlertsLeaveOutLateLines(t *testing.T) {
	b := newBook(t)
	b.h = oracle.NewBoundedHistory(1, time.Minute)
	b.lines(
		sale(ten, 7, 1, 600_000),
		sale(ten+2*minute, 7, 1, 1),
		sale(ten+1, 7, 1, 500_000), // late
		sale(ten+2*minute, 7, 1, 999_999),
	)
	got, err := b.h.BoundedAlerts(upTo(0), upTo(4), view.EveryLine, b.params)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]oracle.Alert{{ten + 2*minute, 7, 1_000_000, 0, 3}}, got); d != "" {
		t.Error(d)
	}
	exact, err := b.h.Alerts(upTo(0), upTo(4), view.EveryLine, b.params)
	if err != nil || len(exact) != 2 {
		t.Errorf("by the exact definitions %v, %v, want two", exact, err)
	}
}
