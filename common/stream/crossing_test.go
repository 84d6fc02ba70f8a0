package stream_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/stream"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

// A state that holds all lines, sums apart from it, and sums that let go of closed
// windows find the crossing lines that the oracle does.
func TestCrossingsAgreeWithOracle(t *testing.T) {
	found := 0
	for seed := range 500 {
		rng := rand.New(rand.NewPCG(uint64(seed), 5))
		bounded := rng.IntN(2) == 0
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(120), 1)
		p, r, lateness := oracletest.Params(rng), view.AllRules()[rng.IntN(view.Versions)], oracletest.Lateness(rng)
		h := oracletest.BoundedHistory(placed, 1, lateness)
		state, spending, seen, judge := stream.NewState(p, r), stream.NewSpending(p), stream.NewSeen(), h.Alerts
		if bounded {
			state, seen, judge = stream.NewBoundedState(p, r, stream.NewProfiles()), stream.NewBoundedSeen(lateness), h.BoundedAlerts
		}
		want, err := judge(coverage.Zero(1), h.End(), r, p)
		if err != nil {
			t.Fatal(err)
		}
		var ofState, ofSpending []oracle.Alert
		add := func(to *[]oracle.Alert, offset int64, c stream.Crossing, crossed bool) {
			if crossed {
				*to = append(*to, oracle.Alert{WindowStart: c.WindowStart, CustomerID: c.CustomerID, GrossMilli: c.GrossMilli, Offset: offset})
			}
		}
		d := event.NewDecoder()
		for _, x := range placed {
			var l event.OrderLine
			if x.Customers || d.Order(x.Value, &l) != nil || seen.Claim(&l) != stream.First {
				continue
			}
			c, crossed := state.AddLine(&l)
			add(&ofState, x.Offset, c, crossed)
			c, crossed = spending.Add(&l, r)
			add(&ofSpending, x.Offset, c, crossed)
			if rng.IntN(10) == 0 {
				state.Forget(seen.Horizon())
				spending.Forget(seen.Horizon())
			}
		}
		for name, got := range map[string][]oracle.Alert{"state": ofState, "sums": ofSpending} {
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d, bounded %v, rules %d: %s: %s", seed, bounded, r, name, d)
			}
		}
		found += len(want)
		if spending.Forget(math.MaxInt64 - p.Alert.Milliseconds()); spending.Len() != 0 && bounded {
			t.Fatalf("seed %d: %d sums are left when all windows are closed", seed, spending.Len())
		}
	}
	if found == 0 {
		t.Error("no crossing line in any history")
	}
}
