package judge_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"archbench/bench/judge"
	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// boundedCourt judges by policy bounded too. Many lines of its history are late.
func boundedCourt(t testing.TB) *court {
	rng := rand.New(rand.NewPCG(1, 6))
	const partitions = 3
	h := oracletest.BoundedHistory(oracletest.Place(oracletest.NewMaker(rng).Make(600), partitions), partitions, time.Minute)
	p := view.DefaultParams()
	p.AlertThresholdMilli = 1000 // so that no view is empty
	return &court{t, judge.Judge{History: h, Params: p, Bounded: true}, rng}
}

// kept is a right answer under policy bounded.
func (c *court) kept(at coverage.Coverage, seam *coverage.Coverage, q view.Query) architecture.Answer {
	c.t.Helper()
	rows, err := c.j.History.BoundedAnswer(at, seam, 1, c.j.Params, q)
	if err != nil {
		c.t.Fatal(err)
	}
	return architecture.Answer{View: q.View, Rules: 1, Coverage: at, Seam: seam, Rows: rows}
}

func (c *court) verdict(entries ...*readers.Entry) *judge.Verdict {
	c.t.Helper()
	v, err := c.j.Reads(spool(c.t, entries...))
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// Answers that are right by the policy differ from the exact ones by what is late,
// and from the policy's own not at all, with a seam and without.
func TestRightAnswersUnderBounded(t *testing.T) {
	c := boundedCourt(t)
	end := c.j.History.End()
	var entries []*readers.Entry
	for n := range 300 {
		q := oracletest.Query(c.rng)
		at := oracletest.Prefix(c.rng, end)
		var seam *coverage.Coverage
		if n%2 == 0 {
			s := coverage.Min(at, oracletest.Prefix(c.rng, end))
			seam = &s
		}
		entries = append(entries, entry(q, body(t, c.kept(at, seam, q))))
	}
	v := c.verdict(entries...)
	for _, name := range view.Names() {
		c.j.Finals(v, c.kept(end, nil, view.Query{View: name}))
	}
	d, p := v.Divergence, v.PolicyDivergence
	if p.Any() || p.RowsChecked == 0 || p.Final.RowsChecked == 0 || len(p.Views) != 5 || len(p.Examples) != 0 {
		t.Errorf("against the policy: %+v %q", p, p.Examples)
	}
	if d.RowsWrong == 0 || d.RowsMissing == 0 || d.Final.RowsWrong == 0 || len(d.Views) != 6 {
		t.Errorf("against the exact definitions: %+v", d)
	}
	if _, judged := p.Views[view.RevenueBySegment]; judged {
		t.Error("revenue_by_segment is judged by the policy, which does not bind it")
	}
	if e := v.DistinctError(); e == nil || e.Max != 0 {
		t.Errorf("exact counts are off by %+v", e)
	}
	if len(d.Views) != 6 || d.Views[view.DistinctCustomers].Checked != 0 {
		t.Errorf("distinct_customers is among what is compared: %+v", d.Views)
	}
}

// Each view shows a wrong row where it is judged, and nowhere else. The exact
// answer is wrong under the policy.
func TestWrongAnswersUnderBounded(t *testing.T) {
	c := boundedCourt(t)
	end := c.j.History.End()
	for _, name := range view.Names() {
		q := view.Query{View: name}
		a := c.kept(end, nil, q)
		if name == view.RevenueBySegment {
			a = c.right(end, 1, q)
		}
		schema := name.Schema()
		last := len(schema.Columns) - 1
		if !schema.Columns[last].Text {
			last = schema.NumIndex(last)
		}
		a.Rows[len(a.Rows)/2].Num[last]++
		v := c.verdict(entry(q, body(t, a)))
		bound := name != view.RevenueBySegment && name != view.DistinctCustomers
		if v.PolicyDivergence.Any() != bound {
			t.Errorf("%s: against the policy %+v", name, v.PolicyDivergence)
		}
		if e := v.DistinctError(); (e != nil && e.Max > 0) != (name == view.DistinctCustomers) {
			t.Errorf("%s: distinct error %+v", name, e)
		}
		if name == view.RevenueBySegment && v.Divergence.RowsWrong != 1 {
			t.Errorf("%s: %+v", name, v.Divergence)
		}
		if name == view.RevenueByCountry {
			if v := c.verdict(entry(q, body(t, c.right(end, 1, q)))); !v.PolicyDivergence.Any() || v.Divergence.Any() {
				t.Errorf("an exact answer: %+v against the policy, %+v against the exact definitions", v.PolicyDivergence, v.Divergence)
			}
		}
	}
}

// An answer that is none of the contract is wrong by the policy, whatever the view.
func TestUnreadableAnswersUnderBounded(t *testing.T) {
	c := boundedCourt(t)
	beyond := c.j.History.End()
	beyond.Orders[0]++
	for _, name := range view.Names() {
		q := view.Query{View: name}
		far := c.kept(c.j.History.End(), nil, q)
		far.Seam = &beyond
		for what, e := range map[string]*readers.Entry{"no JSON": entry(q, []byte("<html>")), "a seam beyond the coverage": entry(q, body(t, far))} {
			if v := c.verdict(e); v.PolicyDivergence.ReadsWrong != 1 || v.Divergence.ReadsWrong != 1 {
				t.Errorf("%s, %s: %+v", name, what, v.PolicyDivergence)
			}
		}
	}
	silent := entry(view.Query{View: view.TopProducts}, nil)
	silent.Error = "connection refused"
	if v := c.verdict(silent); v.PolicyDivergence.Unanswered != 1 || v.Divergence.Unanswered != 1 || v.DistinctError() != nil {
		t.Errorf("no answer: %+v", v.PolicyDivergence)
	}
}

// Rows of distinct_customers that are missing, extra or there twice are off by all.
func TestDistinctError(t *testing.T) {
	c := boundedCourt(t)
	q := view.Query{View: view.DistinctCustomers}
	right := c.kept(c.j.History.End(), nil, q)
	for what, change := range map[string]func([]view.Row) []view.Row{
		"missing": func(rows []view.Row) []view.Row { return rows[1:] },
		"extra": func(rows []view.Row) []view.Row {
			return append(rows, view.Row{Text: "Atlantis", Num: [view.MaxNums]int64{1 << 50, 4}})
		},
		"twice": func(rows []view.Row) []view.Row { return append(rows, rows[len(rows)-1]) },
		"far off": func(rows []view.Row) []view.Row {
			rows[0].Num[1] *= 2
			return rows
		},
	} {
		a := right
		a.Rows = change(append([]view.Row(nil), right.Rows...))
		e := c.verdict(entry(q, body(t, a))).DistinctError()
		if e == nil || e.Max != 1 || e.P50 != 0 {
			t.Errorf("%s: %+v", what, e)
		}
	}
}

// Under a lesser guarantee an answer is right if it counts every duplicate, by the
// bounded rules or, of a subject that is always exact, by the exact ones.
func TestAnswersThatCountDuplicates(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	placed := oracletest.Place(oracletest.NewMaker(rng).Make(600), 2)
	p := view.DefaultParams()
	for _, bounded := range []bool{true, false} {
		h := oracletest.HistoryWithoutIDs(placed, 2, time.Minute)
		c := &court{t, judge.Judge{History: h, Params: p, Bounded: bounded, EveryLine: true}, rng}
		end := h.End()
		seam := &end
		if bounded {
			seam = nil
		}
		q := view.Query{View: view.RevenueByCountry}
		own := c.kept(end, seam, q)
		own.Seam = nil
		v := c.verdict(entry(q, body(t, own)))
		if v.PolicyDivergence.Any() || v.PolicyDivergence.Reads != 1 || !v.Divergence.Any() {
			t.Errorf("bounded %v: %+v from its own definitions, %+v from the exact ones", bounded, v.PolicyDivergence, v.Divergence)
		}
		if v := c.verdict(entry(q, body(t, c.right(end, 1, q)))); !v.PolicyDivergence.Any() || v.Divergence.Any() {
			t.Errorf("bounded %v, an exact answer: %+v from its own definitions, %+v from the exact ones", bounded, v.PolicyDivergence, v.Divergence)
		}
	}
}
