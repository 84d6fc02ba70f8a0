package judge

import (
	"fmt"
	"net/url"
	"runtime"

	"golang.org/x/sync/errgroup"

	"archbench/bench/readers"
	"archbench/common/architecture"
	"archbench/common/coverage"
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
	// Bounded says that answers are judged by policy bounded too; the history must
	// have been made for it.
	Bounded bool
	// EveryLine says that they are judged as under a guarantee that recognises no
	// duplicates, by policy bounded or, without it, by rules that are exact but for
	// this; the history must have been made for policy bounded without ids.
	EveryLine bool
}

// own reports whether the subject's own definitions are not the exact ones.
func (j Judge) own() bool { return j.Bounded || j.EveryLine }

// owned are the rows that an answer must have by its subject's own definitions.
func (j Judge) owned(q view.Query, a architecture.Answer) ([]view.Row, error) {
	seam := a.Seam
	if !j.Bounded {
		seam = &a.Coverage // all of it by the exact rules
	}
	return j.History.BoundedAnswer(a.Coverage, seam, a.Rules, j.Params, q)
}

// Verdict is what became of the answers of one measurement.
type Verdict struct {
	Divergence *results.Divergence // from the exact definitions
	// PolicyDivergence is from the definitions of policy and guarantee; nil where these
	// are the exact ones.
	PolicyDivergence *results.Divergence
	off              []float64 // relative errors of distinct_customers under policy bounded
}

// NewVerdict is that on no answer.
func (j Judge) NewVerdict() *Verdict {
	v := &Verdict{Divergence: &results.Divergence{}}
	if j.own() {
		v.PolicyDivergence = &results.Divergence{}
	}
	return v
}

// opinion is what one set of definitions says of one answer.
type opinion struct {
	diff  view.Difference
	wrong string // what is wrong, readable; empty for a right answer
}

// finding is what became of one answer. An opinion is nil where a set of
// definitions does not bind that view.
type finding struct {
	view          view.Name
	unanswered    bool
	exact, policy *opinion
	off           []float64
}

// Reads judges every entry of a spool, on all processors. A read that got no
// answer is counted by itself: it shows nothing that could be wrong.
func (j Judge) Reads(path string) (*Verdict, error) {
	var findings []*finding
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := readers.ReadSpool(path, func(e *readers.Entry) error {
		f := &finding{}
		findings = append(findings, f)
		g.Go(func() (err error) {
			*f, err = j.read(e)
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
	v := j.NewVerdict()
	for _, f := range findings {
		v.addRead(f)
	}
	return v, nil
}

func (v *Verdict) addRead(f *finding) {
	v.off = append(v.off, f.off...)
	for _, of := range []struct {
		d *results.Divergence
		o *opinion
	}{{v.Divergence, f.exact}, {v.PolicyDivergence, f.policy}} {
		switch {
		case of.d == nil:
		case f.unanswered:
			of.d.Unanswered++
		case of.o != nil:
			of.d.AddRead(f.view, of.o.diff, of.o.wrong != "")
			keepExample(of.d, of.o)
		}
	}
}

func keepExample(d *results.Divergence, o *opinion) {
	if o.wrong != "" && len(d.Examples) < maxExamples {
		d.Examples = append(d.Examples, o.wrong)
	}
}

// read judges one entry. An error means that the entry is none that the harness writes.
func (j Judge) read(e *readers.Entry) (finding, error) {
	name, err := view.ParseName(e.View)
	if err != nil {
		return finding{}, fmt.Errorf("spooled read: %w", err)
	}
	f := finding{view: name}
	if e.Error != "" {
		f.unanswered = true
		return f, nil
	}
	values, err := url.ParseQuery(e.Query)
	if err != nil {
		return f, fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	q, err := serving.ParseQuery(name, values)
	if err != nil {
		return f, fmt.Errorf("spooled query %q: %w", e.Query, err)
	}
	a, err := serving.ParseAnswer(e.Body)
	switch {
	case err != nil:
		f.condemn(view.Difference{}, fmt.Sprintf("%s: %v", describe(q), err))
	case a.View != name:
		f.condemn(view.Difference{}, fmt.Sprintf("%s: answered with %s", describe(q), a.View))
	default:
		j.answer(q, a, &f)
	}
	return f, nil
}

// condemn is for an answer that is none of the contract: wrong by any definitions.
func (f *finding) condemn(diff view.Difference, why string) {
	f.exact, f.policy = &opinion{diff, why}, &opinion{diff, why}
}

func describe(q view.Query) string {
	if query := serving.EncodeQuery(q).Encode(); query != "" {
		return string(q.View) + "?" + query
	}
	return string(q.View)
}

// answer judges an answer at its own coverage, seam and rules.
func (j Judge) answer(q view.Query, a architecture.Answer, f *finding) {
	exact, err := j.History.Answer(a.Coverage, a.Rules, j.Params, q)
	var policy []view.Row
	if err == nil && j.own() {
		policy, err = j.owned(q, a)
	}
	switch {
	case err != nil: // a coverage that the log never had, or rules that nobody knows
		n := int64(len(a.Rows))
		f.condemn(view.Difference{Checked: n, Extra: n}, fmt.Sprintf("%s: %v", describe(q), err))
	case !j.own():
		f.exact = compare(q, a, exact)
	case !j.Bounded:
		f.exact, f.policy = compare(q, a, exact), compare(q, a, policy)
	case q.View == view.DistinctCustomers: // an estimate, which is off and not wrong
		f.off = relativeErrors(a.Rows, policy)
	case q.View == view.RevenueBySegment: // depends on timing, which no definition knows
		f.exact = compare(q, a, exact)
	default:
		f.exact, f.policy = compare(q, a, exact), compare(q, a, policy)
	}
}

func compare(q view.Query, a architecture.Answer, want []view.Row) *opinion {
	schema := q.View.Schema()
	diff := view.Diff(schema, a.Rows, want)
	if !diff.Any() {
		return &opinion{diff: diff}
	}
	seam := ""
	if a.Seam != nil {
		seam = ", seam " + a.Seam.String()
	}
	return &opinion{diff, fmt.Sprintf("%s under rules %d at %s%s: %d wrong, %d missing, %d extra of %d rows: %s",
		describe(q), a.Rules, a.Coverage, seam, diff.Wrong, diff.Missing, diff.Extra, diff.Checked, firstApart(schema, a.Rows, want))}
}

// Finals judges whole views after the traffic, on all processors, when all was
// announced as covered: an answer that covers less shows what it lacks as missing.
func (j Judge) Finals(into *Verdict, answers ...architecture.Answer) {
	findings := make([]finding, len(answers))
	end := j.History.End()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n, a := range answers {
		g.Go(func() error {
			if end.AtLeast(a.Coverage) {
				a.Coverage = end
			}
			findings[n].view = a.View
			j.answer(view.Query{View: a.View}, a, &findings[n])
			return nil
		})
	}
	_ = g.Wait() // a judge does not fail
	for n := range findings {
		into.addFinal(&findings[n], answers[n].Coverage)
	}
}

func (v *Verdict) addFinal(f *finding, named coverage.Coverage) {
	v.off = append(v.off, f.off...)
	for _, of := range []struct {
		d *results.Divergence
		o *opinion
	}{{v.Divergence, f.exact}, {v.PolicyDivergence, f.policy}} {
		if of.d == nil || of.o == nil {
			continue
		}
		if of.o.wrong != "" {
			of.o.wrong = "after the traffic, covering " + named.String() + ": " + of.o.wrong
		}
		of.d.AddFinal(f.view, of.o.diff)
		keepExample(of.d, of.o)
	}
}
