package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"archbench/common/architecture"
	"archbench/results"
)

// cell is all trials of one scenario on one architecture under one set of conditions.
type cell struct {
	scenario, workload, architecture, variant string
	trials                                    []*results.Measurement
}

// cells groups the measurements, in the order in which they first appear.
func cells(r *results.Result) []*cell {
	var all []*cell
	for i := range r.Measurements {
		m := &r.Measurements[i]
		key := cell{scenario: m.Scenario, workload: m.Workload, architecture: m.Architecture, variant: variant(m)}
		at := slices.IndexFunc(all, func(c *cell) bool {
			return c.scenario == key.scenario && c.workload == key.workload && c.architecture == key.architecture && c.variant == key.variant
		})
		if at < 0 {
			at = len(all)
			all = append(all, &key)
		}
		all[at].trials = append(all[at].trials, m)
	}
	return all
}

// variant is what sets a measurement apart from others of its scenario.
func variant(m *results.Measurement) string {
	parts := []string{m.Policy, m.Guarantee}
	for _, k := range slices.Sorted(maps.Keys(m.Variant)) {
		parts = append(parts, strings.ReplaceAll(k, "_", " ")+" "+m.Variant[k])
	}
	return strings.Join(parts, ", ")
}

// terms are a measurement's policy and, if it is a lesser one, its guarantee.
func terms(m *results.Measurement) string {
	if lesser(m) {
		return "policy " + m.Policy + " with " + m.Guarantee
	}
	return "policy " + m.Policy
}

// lesser reports whether duplicates were not to be recognised.
func lesser(m *results.Measurement) bool {
	return !architecture.Guarantee(m.Guarantee).RecognisesDuplicates()
}

// valid is the trials whose figures count.
func (c *cell) valid() []*results.Measurement {
	return slices.DeleteFunc(slices.Clone(c.trials), func(m *results.Measurement) bool { return !m.Valid })
}

// validity says how many trials are valid, where that needs saying.
func (c *cell) validity() string {
	n := len(c.valid())
	switch {
	case len(c.trials) > 1:
		return fmt.Sprintf("%d of %d", n, len(c.trials))
	case n == 1:
		return "yes"
	}
	return "NO"
}

// figure is one number of a measurement and how it is written.
type figure struct {
	name  string
	get   func(*results.Measurement) (value float64, ok bool)
	write func(float64) string
	// why says why a valid measurement has no number.
	why func(*results.Measurement) string
}

// summary is the figure over the valid trials: the one there is, or the median
// and the range.
func (c *cell) summary(f figure) string {
	valid := c.valid()
	if len(valid) == 0 {
		return "invalid"
	}
	var values []float64
	for _, m := range valid {
		if v, ok := f.get(m); ok {
			values = append(values, v)
		}
	}
	switch len(values) {
	case 0:
		if f.why != nil {
			return f.why(valid[0])
		}
		return none
	case 1:
		return f.write(values[0])
	}
	slices.Sort(values)
	return fmt.Sprintf("%s (%s to %s)", f.write(median(values)), f.write(values[0]), f.write(values[len(values)-1]))
}

// median of sorted values.
func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile is a figure read from a distribution.
func percentile(name string, of func(*results.Measurement) *results.Percentiles, at func(*results.Percentiles) *int64) figure {
	return figure{
		name: name,
		get: func(m *results.Measurement) (float64, bool) {
			if p := of(m); p != nil && at(p) != nil {
				return float64(*at(p)), true
			}
			return 0, false
		},
		write: func(us float64) string { return duration(int64(us)) },
		why: func(m *results.Measurement) string {
			p := of(m)
			switch {
			case p == nil:
				return none
			case p.P90 != nil && p.Note != "":
				return fmt.Sprintf("%s; p90 is %s", tail(p, nil), duration(*p.P90))
			}
			return tail(p, nil)
		},
	}
}

func p99(p *results.Percentiles) *int64 { return p.P99 }

var (
	freshnessP99 = percentile("freshness p99", func(m *results.Measurement) *results.Percentiles { return m.FreshnessUS }, p99)
	ageP99       = percentile("read age p99", func(m *results.Measurement) *results.Percentiles { return m.AgeUS }, p99)
	answerP99    = percentile("answer p99", func(m *results.Measurement) *results.Percentiles { return m.AnswerUS }, p99)

	throughput = figure{name: "throughput", write: func(v float64) string { return perSecond(v) },
		get: func(m *results.Measurement) (float64, bool) {
			if m.Throughput == nil {
				return 0, false
			}
			return m.Throughput.EventsPerS, true
		}}
	switchTime = figure{name: "time to the switch", write: seconds,
		get: func(m *results.Measurement) (float64, bool) {
			if m.Reprocess == nil {
				return 0, false
			}
			return m.Reprocess.Seconds, true
		}}
	cpuPerMillion = figure{name: "CPU per million events", write: func(v float64) string { return fmt.Sprintf("%.1f s", v) },
		get: func(m *results.Measurement) (float64, bool) {
			if m.Cost == nil {
				return 0, false
			}
			return m.Cost.CPUSPerMillion, true
		}}
	memoryPeak = figure{name: "memory peak", write: func(v float64) string { return bytes(int64(v)) },
		get: func(m *results.Measurement) (float64, bool) {
			if m.Cost == nil {
				return 0, false
			}
			return float64(m.Cost.RSSPeakBytes), true
		}}
)

// headline is the one figure that a scenario is about.
func (c *cell) headline() figure {
	for _, m := range c.trials {
		switch {
		case m.Throughput != nil:
			return throughput
		case m.Reprocess != nil || m.Scenario == "reprocess":
			return switchTime
		}
	}
	return freshnessP99
}

// wrong counts what must be nothing, over all trials, valid or not: a wrong
// answer is wrong however late the generator was. Under policy bounded it is wrong
// by the policy's own definitions.
func (c *cell) wrong() (reads, readsWrong, rows, rowsWrong int64, judged bool) {
	for _, m := range c.trials {
		d := m.MustBeNone()
		if d == nil {
			continue
		}
		judged = true
		reads += d.Reads
		readsWrong += d.ReadsWrong
		if f := d.Final; f != nil {
			rows += f.RowsChecked
			rowsWrong += f.RowsWrong + f.RowsMissing + f.RowsExtra
		}
	}
	return reads, readsWrong, rows, rowsWrong, judged
}

func (c *cell) wrongReads() string {
	reads, wrong, _, _, judged := c.wrong()
	if !judged {
		return none
	}
	return fmt.Sprintf("%s of %s", count(wrong), count(reads))
}

func (c *cell) wrongRows() string {
	_, _, rows, wrong, judged := c.wrong()
	if !judged {
		return none
	}
	return fmt.Sprintf("%s of %s", count(wrong), count(rows))
}
