package judge_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/bench/judge"
	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/oracle/oracletest"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/results"
)

// court is a history with a judge and right answers to it.
type court struct {
	t   testing.TB
	j   judge.Judge
	rng *rand.Rand
}

func newCourt(t testing.TB) *court {
	rng := rand.New(rand.NewPCG(1, 5))
	const partitions = 3
	h := oracletest.History(oracletest.Place(oracletest.NewMaker(rng).Make(600), partitions), partitions)
	p := view.DefaultParams()
	p.AlertThresholdMilli = 1000 // so that no view is empty
	return &court{t, judge.Judge{History: h, Params: p}, rng}
}

func (c *court) right(at coverage.Coverage, r view.Rules, q view.Query) architecture.Answer {
	c.t.Helper()
	rows, err := c.j.History.Answer(at, r, c.j.Params, q)
	if err != nil {
		c.t.Fatal(err)
	}
	return architecture.Answer{View: q.View, Rules: r, Coverage: at, Rows: rows}
}

// body is an answer as an engine that keeps the contract sends it.
func body(t testing.TB, a architecture.Answer) []byte {
	t.Helper()
	rows := make([]json.RawMessage, len(a.Rows))
	for i := range rows {
		rows[i] = a.View.Schema().AppendJSON(nil, &a.Rows[i])
	}
	b, err := json.Marshal(map[string]any{"view": a.View, "rules": a.Rules, "coverage": a.Coverage, "seam": a.Seam, "columns": a.View.Schema().Header(), "rows": rows})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(q view.Query, body []byte) *readers.Entry {
	return &readers.Entry{View: string(q.View), Query: serving.EncodeQuery(q).Encode(), Body: body}
}

func spool(t testing.TB, entries ...*readers.Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "answers.zst")
	s, err := readers.NewSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s.Put(e)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *court) judged(entries ...*readers.Entry) *results.Divergence {
	c.t.Helper()
	d, err := c.j.Reads(spool(c.t, entries...))
	if err != nil {
		c.t.Fatal(err)
	}
	return d.Divergence
}

// Right answers at any coverage, under any rules, to any query raise no alarm.
func TestRightAnswers(t *testing.T) {
	c := newCourt(t)
	var entries []*readers.Entry
	rows := map[view.Name]int64{}
	for range 300 {
		q := oracletest.Query(c.rng)
		a := c.right(oracletest.Prefix(c.rng, c.j.History.End()), view.Rules(1+c.rng.IntN(2)), q)
		rows[q.View] += int64(len(a.Rows))
		entries = append(entries, entry(q, body(t, a)))
	}
	d := c.judged(entries...)
	if d.Any() || d.Reads != 300 || d.Unanswered != 0 || len(d.Examples) != 0 {
		t.Errorf("%+v", d)
	}
	var all int64
	for _, v := range view.Names() {
		all += rows[v]
		if d.Views[v].Checked != rows[v] || rows[v] == 0 {
			t.Errorf("%s: %d rows checked of %d", v, d.Views[v].Checked, rows[v])
		}
	}
	if d.RowsChecked != all {
		t.Errorf("%d rows checked of %d", d.RowsChecked, all)
	}
}

// Every way to be wrong is found, by the kind of its rows.
func TestWrongAnswers(t *testing.T) {
	c := newCourt(t)
	end := c.j.History.End()
	early := end.Clone()
	for i := range early.Orders {
		early.Orders[i] /= 2
	}
	beyond := end.Clone()
	beyond.Customers[1]++
	q := view.Query{View: view.RevenueByCountry}
	for name, alter := range map[string]struct {
		change func(*architecture.Answer)
		want   view.Difference // without Checked
	}{
		"a value":   {func(a *architecture.Answer) { a.Rows[3].Num[5] += 17 }, view.Difference{Wrong: 1, MaxAbsMilli: 17}},
		"no amount": {func(a *architecture.Answer) { a.Rows[3].Num[2]-- }, view.Difference{Wrong: 1}},
		"missing":   {func(a *architecture.Answer) { a.Rows = slices.Delete(a.Rows, 2, 3) }, view.Difference{Missing: 1, MaxAbsMilli: -1}},
		"extra": {func(a *architecture.Answer) {
			a.Rows = append(a.Rows, view.Row{Text: "Atlantis", Num: [view.MaxNums]int64{1 << 50, 1, 1, 5, 0, 5}})
		}, view.Difference{Extra: 1, MaxAbsMilli: 5}},
		"repeated":     {func(a *architecture.Answer) { a.Rows = slices.Insert(a.Rows, 4, a.Rows[4]) }, view.Difference{Extra: 1, MaxAbsMilli: -1}},
		"out of order": {func(a *architecture.Answer) { a.Rows[0], a.Rows[1] = a.Rows[1], a.Rows[0] }, view.Difference{Missing: 1, Extra: 1, MaxAbsMilli: -1}},
	} {
		a := c.right(end, 1, q)
		alter.change(&a)
		d := c.judged(entry(q, body(t, a)))
		got := view.Difference{Wrong: d.RowsWrong, Missing: d.RowsMissing, Extra: d.RowsExtra, MaxAbsMilli: d.MaxAbsMilli}
		if alter.want.MaxAbsMilli < 0 && got.MaxAbsMilli > 0 { // some amount of that row
			got.MaxAbsMilli = -1
		}
		if got != alter.want || d.ReadsWrong != 1 || d.Reads != 1 || len(d.Examples) != 1 {
			t.Errorf("%s: %+v, want %+v", name, d, alter.want)
		}
	}
	for name, change := range map[string]func(*architecture.Answer){
		"old coverage with new rows": func(a *architecture.Answer) { a.Coverage = early },
		"new coverage with old rows": func(a *architecture.Answer) { a.Rows = c.right(early, 1, q).Rows },
		"rows of other rules":        func(a *architecture.Answer) { a.Rows = c.right(end, 2, q).Rows },
		"rules that nobody knows":    func(a *architecture.Answer) { a.Rules = 9 },
		"coverage beyond the log":    func(a *architecture.Answer) { a.Coverage = beyond },
		"coverage of no partition":   func(a *architecture.Answer) { a.Coverage = coverage.Coverage{} },
		"empty":                      func(a *architecture.Answer) { a.Rows = nil },
	} {
		a := c.right(end, 1, q)
		change(&a)
		if d := c.judged(entry(q, body(t, a))); !d.Any() || d.ReadsWrong != 1 || d.RowsWrong+d.RowsMissing+d.RowsExtra == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// What is no answer of the contract is wrong; no answer at all is neither right nor wrong.
func TestAnswersThatCannotBeRead(t *testing.T) {
	c := newCourt(t)
	q := view.Query{View: view.TopProducts, Last: 2}
	good := body(t, c.right(c.j.History.End(), 1, q))
	for name, b := range map[string][]byte{
		"not JSON":     []byte("<html>"),
		"empty":        {},
		"cut off":      good[:len(good)/2],
		"another view": body(t, c.right(c.j.History.End(), 1, view.Query{View: view.SpendAlerts})),
		"a fraction":   []byte(strings.Replace(string(good), `"rows":[[1`, `"rows":[[0.1`, 1)),
	} {
		if d := c.judged(entry(q, b)); !d.Any() || d.ReadsWrong != 1 || len(d.Examples) != 1 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	silent := entry(q, nil)
	silent.Error = "connection refused"
	if d := c.judged(silent, entry(q, good)); d.Any() || d.Reads != 1 || d.Unanswered != 1 {
		t.Errorf("no answer: %+v", d)
	}
}

// The verdict does not depend on which processor was faster.
func TestVerdictIsRepeatable(t *testing.T) {
	c := newCourt(t)
	var entries []*readers.Entry
	for range 60 {
		q := oracletest.Query(c.rng)
		a := c.right(c.j.History.End(), 1, q)
		for i := range a.Rows {
			a.Rows[i].Num[2] += c.rng.Int64N(2)
		}
		entries = append(entries, entry(q, body(t, a)))
	}
	first := c.judged(entries...)
	if len(first.Examples) != 5 || !strings.HasPrefix(first.Examples[0], entries[0].View) {
		t.Errorf("examples %q, want the first five wrong answers, %s first", first.Examples, entries[0].View)
	}
	for range 5 {
		if d := cmp.Diff(first, c.judged(entries...)); d != "" {
			t.Fatal(d)
		}
	}
}

func TestTornSpoolIsAnError(t *testing.T) {
	c := newCourt(t)
	q := view.Query{View: view.RollingRevenue}
	path := spool(t, entry(q, body(t, c.right(c.j.History.End(), 1, q))))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := c.j.Reads(path); err == nil {
		t.Errorf("%+v", d)
	}
	if _, err := c.j.Reads(spool(t, &readers.Entry{View: "no_view"})); err == nil {
		t.Error("an entry of no view passed")
	}
	if _, err := c.j.Reads(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing spool passed")
	}
}

func TestFinal(t *testing.T) {
	c := newCourt(t)
	end := c.j.History.End()
	behind := end.Clone()
	behind.Orders[0] -= behind.Orders[0] / 3
	verdict := c.j.NewVerdict()
	d := verdict.Divergence
	for _, v := range view.Names() {
		c.j.Finals(verdict, c.right(end, 2, view.Query{View: v}))
	}
	if d.Any() || d.Final.RowsChecked == 0 || len(d.Views) != len(view.Names()) || d.Reads != 0 {
		t.Errorf("right views: %+v", d)
	}
	// Right at its own coverage, but that is not all: everything was announced as covered.
	c.j.Finals(verdict, c.right(behind, 2, view.Query{View: view.RevenueByCountry}))
	if !d.Any() || d.Final.RowsWrong+d.Final.RowsMissing == 0 || len(d.Examples) != 1 || !strings.Contains(d.Examples[0], behind.String()) {
		t.Errorf("a view that is behind: %+v", d)
	}
}

// The example names the query and shows the rows.
func TestExampleIsReadable(t *testing.T) {
	c := newCourt(t)
	from := int64(0)
	q := view.Query{View: view.RevenueBySegment, From: &from}
	a := c.right(c.j.History.End(), 1, q)
	truth := string(q.View.Schema().AppendJSON(nil, &a.Rows[2]))
	a.Rows[2].Num[1]++
	lie := string(q.View.Schema().AppendJSON(nil, &a.Rows[2]))
	d := c.judged(entry(q, body(t, a)))
	for _, part := range []string{"revenue_by_segment?from=0 under rules 1", a.Coverage.String(), "1 wrong, 0 missing, 0 extra", "got " + lie + " where the truth has " + truth} {
		if len(d.Examples) != 1 || !strings.Contains(d.Examples[0], part) {
			t.Errorf("%q does not say %q", d.Examples, part)
		}
	}
}

func BenchmarkReads(b *testing.B) {
	c := newCourt(b)
	q := view.Query{View: view.RevenueByCountry, Last: 3}
	right := entry(q, body(b, c.right(c.j.History.End(), 1, q)))
	const reads = 1000
	path := spool(b, slices.Repeat([]*readers.Entry{right}, reads)...)
	for b.Loop() {
		if d, err := c.j.Reads(path); err != nil || d.Divergence.Any() {
			b.Fatal(d, err)
		}
	}
	b.ReportMetric(float64(b.N)*reads/b.Elapsed().Seconds(), "reads/s")
}
