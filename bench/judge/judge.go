package judge

import (
	"fmt"
	"net/url"
	"runtime"

	"golang.org/x/sync/errgroup"

	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/oracle"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/results"
)

// maxExamples is how many wrong answers are kept to be read.
const maxExamples = 5

// Judge knows the truth of one measurement.
type Judge struct {
	History *oracle.History
	Params  view.Params
}

// verdict is what became of one answer.
type verdict struct {
	view       view.Name
	unanswered bool
	diff       view.Difference
	wrong      string // what is wrong, readable; empty for a right answer
}

// Reads judges every entry of a spool, on all processors. A read that got no
// answer is counted by itself: it shows nothing that could be wrong.
func (j Judge) Reads(path string) (*results.Divergence, error) {
	var verdicts []*verdict
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := readers.ReadSpool(path, func(e *readers.Entry) error {
		v := &verdict{}
		verdicts = append(verdicts, v)
		g.Go(func() (err error) {
			*v, err = j.read(e)
			return err
		})
		return nil
	})
	if judging := g.Wait(); err == nil {
		err = judging
	}
	if err != nil {
		return nil, err
	}
	d := &results.Divergence{}
	for _, v := range verdicts {
		if v.unanswered {
			d.Unanswered++
			continue
		}
		d.AddRead(v.view, v.diff, v.wrong != "")
		keepExample(d, v)
	}
	return d, nil
}

func keepExample(d *results.Divergence, v *verdict) {
	if v.wrong != "" && len(d.Examples) < maxExamples {
		d.Examples = append(d.Examples, v.wrong)
	}
}

// read judges one entry. An error means that the entry is none that the harness writes.
func (j Judge) read(e *readers.Entry) (verdict, error) {
	name, err := view.ParseName(e.View)
	if err != nil {
		return verdict{}, fmt.Errorf("spooled read: %w", err)
	}
	v := verdict{view: name}
	if e.Error != "" {
		v.unanswered = true
		return v, nil
	}
	values, err := url.ParseQuery(e.Query)
	if err != nil {
		return v, fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	q, err := serving.ParseQuery(name, values)
	if err != nil {
		return v, fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	a, err := serving.ParseAnswer(e.Body)
	switch {
	case err != nil:
		v.wrong = fmt.Sprintf("%s: %v", describe(q), err)
	case a.View != name:
		v.wrong = fmt.Sprintf("%s: answered with %s", describe(q), a.View)
	default:
		v.diff, v.wrong = j.answer(q, a)
	}
	return v, nil
}

func describe(q view.Query) string {
	if query := serving.EncodeQuery(q).Encode(); query != "" {
		return string(q.View) + "?" + query
	}
	return string(q.View)
}

// answer judges an answer at its own coverage and rules.
func (j Judge) answer(q view.Query, a architecture.Answer) (view.Difference, string) {
	want, err := j.History.Answer(a.Coverage, a.Rules, j.Params, q)
	if err != nil { // a coverage that the log never had, or rules that nobody knows
		n := int64(len(a.Rows))
		return view.Difference{Checked: n, Extra: n}, fmt.Sprintf("%s: %v", describe(q), err)
	}
	schema := q.View.Schema()
	diff := view.Diff(schema, a.Rows, want)
	if !diff.Any() {
		return diff, ""
	}
	return diff, fmt.Sprintf("%s under rules %d at %s: %d wrong, %d missing, %d extra of %d rows: %s",
		describe(q), a.Rules, a.Coverage, diff.Wrong, diff.Missing, diff.Extra, diff.Checked, firstApart(schema, a.Rows, want))
}

// Final judges one whole view after the traffic, when all was announced as
// covered: an answer that covers less shows what it lacks as missing.
func (j Judge) Final(a architecture.Answer, into *results.Divergence) error {
	v := &verdict{view: a.View}
	named, end := a.Coverage, j.History.End()
	if end.AtLeast(named) {
		a.Coverage = end
	}
	v.diff, v.wrong = j.answer(view.Query{View: a.View}, a)
	if v.wrong != "" {
		v.wrong = "after the traffic, covering " + named.String() + ": " + v.wrong
	}
	into.AddFinal(v.view, v.diff)
	keepExample(into, v)
	return nil
}
