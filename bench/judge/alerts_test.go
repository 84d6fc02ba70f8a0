package judge_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/bench/judge"
	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
	"archbench/results"
)

// reigns are rules 1, from a third of the log on rules 2.
func (c *court) reigns() []architecture.Reign {
	end := c.j.History.End()
	from := coverage.Zero(len(end.Orders))
	for p := range end.Orders {
		from.Orders[p] = end.Orders[p] / 3
	}
	return append(architecture.FirstReign(view.EveryLine, len(end.Orders)), architecture.Reign{Rules: view.MerchandiseOnly, From: from})
}

// raised is what a right engine writes.
func (c *court) raised() []judge.Raised {
	c.t.Helper()
	reigns, end := c.reigns(), c.j.History.End()
	var all []judge.Raised
	for n, to := range []coverage.Coverage{reigns[1].From, end} {
		found, err := c.j.History.Alerts(reigns[n].From, to, reigns[n].Rules, c.j.Params)
		if err != nil {
			c.t.Fatal(err)
		}
		for i, f := range found {
			a := alerts.Alert{Rules: reigns[n].Rules, WindowStart: f.WindowStart, CustomerID: f.CustomerID, GrossMilli: f.GrossMilli, OrdersPartition: f.Partition, OrdersOffset: f.Offset}
			all = append(all, judge.Raised{Alert: a, ReceivedUS: int64(1000 + i)})
		}
	}
	return all
}

func TestAlertsAreJudged(t *testing.T) {
	c := newCourt(t)
	right := c.raised()
	n := int64(len(right))
	if n < 20 {
		t.Fatalf("only %d alerts are owed", n)
	}
	underOther := right[0]
	underOther.Rules = 3 - underOther.Rules
	moved, sum := right[0], right[1]
	moved.OrdersOffset++
	sum.GrossMilli--
	for _, x := range []struct {
		name string
		got  []judge.Raised
		want results.Alerts
	}{
		{"right", right, results.Alerts{Expected: n}},
		{"in another order and twice", append(slices.Clone(right[3:]), right...), results.Alerts{Expected: n, Repeated: n - 3}},
		{"one missing", right[1:], results.Alerts{Expected: n, Missing: 1}},
		{"one of other rules, twice", append(slices.Clone(right), underOther, underOther), results.Alerts{Expected: n, Extra: 1, Repeated: 1}},
		{"another crossing line, another sum", append(slices.Clone(right[2:]), moved, sum), results.Alerts{Expected: n, Wrong: 2}},
		{"no alert", append(slices.Clone(right), judge.Raised{Unreadable: "torn"}), results.Alerts{Expected: n, Extra: 1}},
		{"nothing", nil, results.Alerts{Expected: n, Missing: n}},
	} {
		got, owed, err := c.j.Alerts(c.reigns(), x.got)
		if err != nil {
			t.Fatal(err)
		}
		if got.Any() != (len(got.Examples) > 0) || int64(len(owed)) != n {
			t.Errorf("%s: %d examples, %d owed", x.name, len(got.Examples), len(owed))
		}
		got.Examples = nil
		if d := cmp.Diff(x.want, *got); d != "" {
			t.Errorf("%s: %s", x.name, d)
		}
	}
}

// The first record of an alert counts, and one that never came has no time.
func TestOwedAlertsHaveTheirFirstTime(t *testing.T) {
	c := newCourt(t)
	right := c.raised()
	late := right[0]
	late.ReceivedUS = 1
	_, owed, err := c.j.Alerts(c.reigns(), append(slices.Clone(right[:2]), late))
	if err != nil {
		t.Fatal(err)
	}
	if owed[0].ReceivedUS != 1 || owed[1].ReceivedUS != right[1].ReceivedUS || owed[2].ReceivedUS != 0 {
		t.Errorf("%+v", owed[:3])
	}
}

// Under policy bounded late lines raise none, and without ids duplicates raise theirs.
func TestAlertsAreJudgedByTheirPolicy(t *testing.T) {
	c := newCourt(t)
	placed := oracletest.Place(oracletest.NewMaker(c.rng).Make(600), 3)
	reigns := architecture.FirstReign(view.EveryLine, 3)
	var expected []int64
	for _, j := range []judge.Judge{
		{History: oracletest.BoundedHistory(placed, 3, 0)}, {History: oracletest.BoundedHistory(placed, 3, 0), Bounded: true}, {History: oracletest.HistoryWithoutIDs(placed, 3, 0), EveryLine: true},
	} {
		j.Params = view.DefaultParams()
		j.Params.AlertThresholdMilli = 700_000
		a, _, err := j.Alerts(reigns, nil)
		if err != nil {
			t.Fatal(err)
		}
		expected = append(expected, a.Expected)
	}
	if exact, bounded, every := expected[0], expected[1], expected[2]; bounded >= exact || every <= exact || bounded == 0 {
		t.Errorf("owed are %d exactly, %d under bounded, %d where every line counts", exact, bounded, every)
	}
}
