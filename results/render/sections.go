package render

import (
	"fmt"
	"maps"
	"slices"

	"archbench/results"
)

// each makes a row for every measurement that has what the table is about.
func (w *report) each(row func(m *results.Measurement) []string) [][]string {
	var rows [][]string
	for _, c := range w.cells {
		for _, m := range c.trials {
			if cells := row(m); cells != nil {
				rows = append(rows, append([]string{m.Scenario, m.Architecture, fmt.Sprint(m.Trial)}, cells...))
			}
		}
	}
	return rows
}

func columns(names ...string) []string {
	return append([]string{"scenario", "architecture", "trial"}, names...)
}

func (w *report) correctness() {
	w.paragraph("## Correctness")
	w.paragraph("Wrong and late are told apart. Every answer names the offsets of the log that it covers; a third, independent implementation computes the truth at exactly those offsets, and every " +
		"row is compared exactly. An answer that lacks newer events is not wrong but late, which the next section measures. The last columns compare the seven views whole, after the traffic.")
	exact := func(m *results.Measurement) *results.Divergence { return m.Divergence }
	w.divergence(exact)
	if w.bounded() {
		w.paragraph("This is against the exact definitions. Under policy bounded late lines are dropped, ids are forgotten, and a line keeps the segment that was known when it was processed: " +
			"there a difference is the policy's price and no fault. (`distinct_customers` is not in it, see below.)")
	}
	if w.lesser() {
		w.paragraph("At-most-once and at-least-once recognise no duplicates; here their price shows too: what came twice in the traffic, and what a crash lost or repeated.")
	}
	w.wrongViews(exact)
	if w.bounded() {
		w.policy()
	}
	w.alerts()
}

// policy compares with the definitions of policy bounded.
func (w *report) policy() {
	policy := func(m *results.Measurement) *results.Divergence { return m.PolicyDivergence }
	w.paragraph("The same against the policy's own definitions, which say exactly what is dropped; here every difference is a wrong answer. `revenue_by_segment` is left out, because no " +
		"definition knows when a profile arrived, and so is `distinct_customers`:")
	w.divergence(policy)
	w.wrongViews(policy)
	w.paragraph("`distinct_customers` is an estimate under policy bounded. Its relative error against the number of customers among the same lines, over all rows of all answers " +
		"(a row that is missing or extra counts as 100 %):")
	w.table(columns("p50", "p99", "max"), w.each(func(m *results.Measurement) []string {
		e := m.DistinctError
		if e == nil {
			return nil
		}
		return []string{percent(e.P50), percent(e.P99), percent(e.Max)}
	}))
}

// alerts compares what stood in topic alerts with what was owed.
func (w *report) alerts() {
	rows := w.each(func(m *results.Measurement) []string {
		a := m.Alerts
		if a == nil {
			return nil
		}
		return []string{count(a.Expected), count(a.Missing), count(a.Extra), count(a.Wrong), count(a.Repeated)}
	})
	if len(rows) == 0 {
		return
	}
	w.paragraph("**Alerts.** The line that brings a customer's sum of a window to the threshold raises an alert under the rules that are served there. Their identities are compared with those that " +
		"the oracle finds among all lines of the log, by the definitions of the policy. Delivery is at least once, so a repeated one is no fault.")
	w.table(columns("alerts owed", "missing", "extra", "wrong", "repeated"), rows)
	said := false
	for i := range w.r.Measurements {
		m := &w.r.Measurements[i]
		if m.Alerts == nil {
			continue
		}
		for _, e := range m.Alerts.Examples {
			w.line("- %s, for example: %s", name(m), e)
			said = true
		}
	}
	if said {
		w.line("")
	}
}

// divergence is a table of counts of wrong rows.
func (w *report) divergence(of func(*results.Measurement) *results.Divergence) {
	w.table(columns("reads judged", "wrong", "unanswered", "rows compared", "differing", "missing", "extra", "greatest amount off", "rows at the end", "of them wrong"),
		w.each(func(m *results.Measurement) []string {
			d := of(m)
			if d == nil {
				return nil
			}
			end, wrong := none, none
			if f := d.Final; f != nil {
				end, wrong = count(f.RowsChecked), count(f.RowsWrong+f.RowsMissing+f.RowsExtra)
			}
			return []string{count(d.Reads), count(d.ReadsWrong), count(d.Unanswered), count(d.RowsChecked), count(d.RowsWrong), count(d.RowsMissing), count(d.RowsExtra), pounds(d.MaxAbsMilli), end, wrong}
		}))
}

// wrongViews names the views in which rows were wrong, with examples.
func (w *report) wrongViews(of func(*results.Measurement) *results.Divergence) {
	said := false
	for i := range w.r.Measurements {
		m := &w.r.Measurements[i]
		wrong := of(m)
		if wrong == nil {
			continue
		}
		for _, v := range slices.Sorted(maps.Keys(wrong.Views)) {
			if d := wrong.Views[v]; d.Any() {
				w.line("- **%s, %s**: of %s rows %s differ, %s are missing, %s are extra, by up to %s", name(m), v, count(d.Checked), count(d.Wrong), count(d.Missing), count(d.Extra), pounds(d.MaxAbsMilli))
				said = true
			}
		}
		for _, e := range wrong.Examples {
			w.line("- %s, for example: %s", name(m), e)
			said = true
		}
	}
	if said {
		w.line("")
	}
}

func name(m *results.Measurement) string {
	return fmt.Sprintf("%s on %s, trial %d", m.Scenario, m.Architecture, m.Trial)
}

// staleness shows distributions; an invalid measurement shows none of them.
func (w *report) staleness() {
	distribution := func(of func(*results.Measurement) *results.Percentiles) func(*results.Measurement) []string {
		return func(m *results.Measurement) []string {
			p := of(m)
			switch {
			case p == nil:
				return nil
			case !m.Valid:
				return []string{count(p.Count), "invalid", none, none, none, none}
			}
			return []string{count(p.Count), optional(p.P50), optional(p.P90), tail(p, p.P99), optional(p.P999), optional(p.Max)}
		}
	}
	w.paragraph("## Staleness and response times")
	for _, t := range []struct {
		title, meaning, of string
		get                func(*results.Measurement) *results.Percentiles
	}{
		{"Freshness", "From the moment an event was meant to be sent until the architecture announced that answers include it, over every event of the window. Events are sent on schedule whatever the system does, so a stall counts against every event that it delays.",
			"events", func(m *results.Measurement) *results.Percentiles { return m.FreshnessUS }},
		{"Read age", "What a reader really sees: when an answer arrives, how old the oldest event is that was due and is not in it; 0 if all are.",
			"reads", func(m *results.Measurement) *results.Percentiles { return m.AgeUS }},
		{"Answer time", "From the moment a read was scheduled until its whole body was there.",
			"reads", func(m *results.Measurement) *results.Percentiles { return m.AnswerUS }},
		{"Alert time", "From the moment the line that crosses an alert's threshold was meant to be sent until the alert is in its topic.",
			"alerts", func(m *results.Measurement) *results.Percentiles { return m.AlertUS }},
	} {
		rows := w.each(distribution(t.get))
		if len(rows) == 0 {
			continue
		}
		w.paragraph("**%s.** %s", t.title, t.meaning)
		w.table(columns(t.of, "p50", "p90", "p99", "p99.9", "max"), rows)
	}
	w.paragraph("A percentile that too few independent moments support is left out: p99 needs 100, p99.9 needs 1,000. A thousand events that one announcement covers are one moment.")
}

// work is what the finite scenarios measure.
func (w *report) work() {
	if rows := w.each(backfillRow); len(rows) > 0 {
		w.paragraph("## Backfill")
		w.paragraph("From the start of the process on a complete log until answers include all of it. Per CPU second is what one core of the architecture's own does.")
		w.table(columns("events", "time", "events per second", "events per CPU second"), rows)
	}
	if rows := w.each(reprocessRow); len(rows) > 0 {
		w.paragraph("## Reprocess")
		w.paragraph("From the request of new rules, under live load, until the atomic switch. Until then answers follow the old rules. Freshness before and during shows what live readers pay.")
		w.table(columns("history, events", "time to the switch", "events per second", "freshness p99 before", "during", "CPU", "memory peak", "disk"), rows)
	}
}

func backfillRow(m *results.Measurement) []string {
	t := m.Throughput
	switch {
	case t == nil:
		return nil
	case !m.Valid:
		return []string{count(t.Events), "invalid", none, none}
	}
	perCPU := none
	if t.EventsPerCPUS > 0 {
		perCPU = count(int64(t.EventsPerCPUS + 0.5))
	}
	return []string{count(t.Events), seconds(t.Seconds), perSecond(t.EventsPerS), perCPU}
}

func reprocessRow(m *results.Measurement) []string {
	p := m.Reprocess
	switch {
	case p == nil:
		return nil
	case !m.Valid:
		return []string{count(p.HistoryEvents), "invalid", none, none, none, none, none, none}
	}
	cpu := none
	if p.CPUS != nil {
		cpu = seconds(*p.CPUS)
	}
	return []string{count(p.HistoryEvents), seconds(p.Seconds), perSecond(p.EventsPerS), optional(p.FreshnessP99BeforeUS), optional(p.FreshnessP99DuringUS),
		cpu, optionalBytes(p.RSSPeakBytes), optionalBytes(p.DiskBytes)}
}

func (w *report) cost() {
	rows := w.each(func(m *results.Measurement) []string {
		c := m.Cost
		switch {
		case c == nil:
			return nil
		case !m.Valid:
			return []string{"invalid", none, none, none, none}
		}
		return []string{seconds(c.CPUS), fmt.Sprintf("%.1f s", c.CPUSPerMillion), bytes(c.RSSPeakBytes), bytes(c.DiskBytes), optionalBytes(c.BrokerReadBytes)}
	})
	if len(rows) == 0 {
		return
	}
	w.paragraph("## Cost")
	w.paragraph("What the architecture's own process used: processor time, its memory at the highest, its data directory at the end. The broker's and the harness's are not in it.")
	w.table(columns("CPU", "CPU per million events", "memory peak", "disk", "read from the broker"), rows)
}

func (w *report) validity() {
	w.paragraph("## Validity")
	w.paragraph("A measurement is invalid if the load was not what it should be (sent late, or less than offered), if too few batches or commits fell into the window, if an event was never covered, " +
		"if the readers starved, or if the machine was taken away. It then shows no headline figure; wrong answers count all the same.")
	w.table(columns("valid", "offered", "achieved", "generator lag p50", "p99", "max", "harness cores", "batches or commits in the window", "interval achieved"),
		w.each(func(m *results.Measurement) []string {
			valid, offered, achieved, batches, interval := "yes", none, none, none, none
			if !m.Valid {
				valid = "**no**"
			}
			if m.Load.OfferedPerS > 0 {
				offered, achieved = perSecond(m.Load.OfferedPerS), perSecond(m.Load.AchievedPerS)
			}
			if m.Batches != nil {
				batches = count(m.Batches.Count)
				if m.Batches.IntervalSeconds > 0 {
					interval = fmt.Sprintf("%.2f s", m.Batches.IntervalSeconds)
				}
			}
			lag := []string{none, none, none}
			if p := m.Load.GeneratorLagUS; p != nil && p.Count > 0 {
				lag = []string{optional(p.P50), tail(p, p.P99), optional(p.Max)}
			}
			cores := none
			if m.Load.HarnessCores > 0 {
				cores = fmt.Sprintf("%.2f", m.Load.HarnessCores)
			}
			return append(append([]string{valid, offered, achieved}, lag...), cores, batches, interval)
		}))
	said := false
	for i := range w.r.Measurements {
		m := &w.r.Measurements[i]
		for _, why := range m.InvalidBecause {
			w.line("- **%s is invalid**: %s", name(m), why)
			said = true
		}
		for _, n := range m.Notes {
			w.line("- %s: %s", name(m), n)
			said = true
		}
	}
	if said {
		w.line("")
	}
}

func (w *report) floors() {
	f := w.r.Floors
	if f == nil {
		return
	}
	w.paragraph("## Floors")
	w.paragraph("What this machine does with no architecture at all, measured in the same run: what the figures above are to be held against.")
	rows := [][]string{
		{"records read per CPU second", count(int64(f.ReadPerCPUS + 0.5))},
		{"records read and decoded per CPU second", count(int64(f.DecodePerCPUS + 0.5))},
	}
	if p := f.ProduceConsumeUS; p != nil {
		rows = append(rows, []string{"from producing to consuming a record, p50", optional(p.P50)}, []string{"the same, p99", tail(p, p.P99)})
	}
	w.table([]string{"floor", "figure"}, rows)
}
