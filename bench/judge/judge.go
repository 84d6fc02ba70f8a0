package judge

import (
	"fmt"
	"net/url"
	"runtime"
	"sync"

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

// Reads judges every entry of a spool.
func (j Judge) Reads(path string) (*results.Divergence, error) {
	d := &results.Divergence{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := readers.ReadSpool(path, func(e *readers.Entry) error {
		g.Go(func() error {
			diff, example, err := j.read(e)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			d.Reads++
			d.RowsChecked += diff.Checked
			d.RowsWrong += diff.Wrong
			d.RowsMissing += diff.Missing
			d.RowsExtra += diff.Extra
			d.MaxAbsMilli = max(d.MaxAbsMilli, diff.MaxAbsMilli)
			if example != "" {
				d.ReadsWrong++
				if len(d.Examples) < maxExamples {
					d.Examples = append(d.Examples, example)
				}
			}
			return nil
		})
		return nil
	})
	if waiting := g.Wait(); err == nil {
		err = waiting
	}
	return d, err
}

// read judges one entry. The example is empty for a right answer.
func (j Judge) read(e *readers.Entry) (view.Difference, string, error) {
	if e.Error != "" {
		return view.Difference{}, fmt.Sprintf("%s?%s: no answer: %s", e.View, e.Query, e.Error), nil
	}
	values, err := url.ParseQuery(e.Query)
	if err != nil {
		return view.Difference{}, "", fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	q, err := serving.ParseQuery(view.Name(e.View), values)
	if err != nil {
		return view.Difference{}, "", fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	a, err := serving.ParseAnswer(e.Body)
	if err != nil {
		return view.Difference{}, fmt.Sprintf("%s?%s: %v", e.View, e.Query, err), nil
	}
	if a.View != q.View {
		return view.Difference{}, fmt.Sprintf("asked for %s, answered with %s", q.View, a.View), nil
	}
	return j.answer(q, a)
}

func (j Judge) answer(q view.Query, a architecture.Answer) (view.Difference, string, error) {
	want, err := j.History.Answer(a.Coverage, a.Rules, j.Params, q)
	if err != nil { // a coverage that the log never had is a wrong answer
		return view.Difference{Checked: int64(len(a.Rows)), Extra: int64(len(a.Rows))}, fmt.Sprintf("%s: %v", q.View, err), nil
	}
	schema := q.View.Schema()
	diff := view.Diff(schema, a.Rows, want)
	if !diff.Any() {
		return diff, "", nil
	}
	return diff, fmt.Sprintf("%s?%s under rules %d at %s: %d wrong, %d missing, %d extra of %d rows; %s",
		q.View, serving.EncodeQuery(q).Encode(), a.Rules, a.Coverage, diff.Wrong, diff.Missing, diff.Extra, diff.Checked, firstApart(schema, a.Rows, want)), nil
}

// firstApart shows the first row that differs.
func firstApart(s view.Schema, got, want []view.Row) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return "missing " + string(s.AppendJSON(nil, &want[i]))
		case i >= len(want):
			return "extra " + string(s.AppendJSON(nil, &got[i]))
		case got[i] != want[i]:
			return "got " + string(s.AppendJSON(nil, &got[i])) + " where the truth has " + string(s.AppendJSON(nil, &want[i]))
		}
	}
	return ""
}

// Final judges one whole view after the traffic.
func (j Judge) Final(a architecture.Answer, into *results.Divergence) error {
	diff, example, err := j.answer(view.Query{View: a.View}, a)
	if err != nil {
		return err
	}
	into.AddFinal(diff)
	if example != "" && len(into.Examples) < maxExamples {
		into.Examples = append(into.Examples, example)
	}
	return nil
}
