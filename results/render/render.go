package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"archbench/results"
)

// report is report.md as it grows.
type report struct {
	strings.Builder
	r     *results.Result
	cells []*cell
}

// Report is report.md.
func Report(r *results.Result) string {
	w := &report{r: r, cells: cells(r)}
	w.opening()
	w.headlines()
	w.setting()
	w.correctness()
	w.staleness()
	w.work()
	w.cost()
	w.validity()
	w.floors()
	w.repetition()
	return w.String()
}

// line writes one line.
func (w *report) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// paragraph writes one line and an empty one.
func (w *report) paragraph(format string, args ...any) { w.line(format+"\n", args...) }

// table writes a table, or nothing without rows.
func (w *report) table(columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	w.line("| %s |", strings.Join(columns, " | "))
	w.line("|%s", strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		for i := range row { // a path may hold what ends a column
			row[i] = strings.ReplaceAll(row[i], "|", `\|`)
		}
		w.line("| %s |", strings.Join(row, " | "))
	}
	w.line("")
}

func (w *report) opening() {
	w.paragraph("# Lambda, Kappa and a unified lakehouse pipeline on one workload")
	w.paragraph("Run `%s`, %s to %s.", w.r.Run.ID, w.r.Run.StartedAt.UTC().Format("2006-01-02 15:04:05"), w.r.Run.FinishedAt.UTC().Format("15:04:05 UTC"))
	w.paragraph("Order lines and profile changes arrive in Kafka; seven views of them (revenue by window and country, sessions, top products, and so on) are kept and can be asked for " +
		"at any time. Each architecture below keeps the same views of the same events, one at a time, in a process of its own.")
	w.paragraph("This compares three implementations on one machine. It does not rank Flink, Spark or Kafka Streams, and ratios between the architectures are results, never targets.")
	if w.r.Broker.Kind == "embedded" {
		w.paragraph("> **%s**", standIn)
	}
	for _, n := range w.r.Run.Notes {
		w.paragraph("> %s", n)
	}
}

// headlines is one figure for each scenario and architecture.
func (w *report) headlines() {
	w.paragraph("## The figures in short")
	var architectures, scenarios []string
	rows := map[string][]string{}
	for _, c := range w.cells {
		if !slices.Contains(architectures, c.architecture) {
			architectures = append(architectures, c.architecture)
		}
	}
	slices.Sort(architectures) // the order of measuring rotates; a table's should not
	for _, c := range w.cells {
		name := w.scenarioName(c)
		if rows[name] == nil {
			scenarios = append(scenarios, name)
			rows[name] = slices.Repeat([]string{none}, len(architectures))
		}
		rows[name][slices.Index(architectures, c.architecture)] = c.summary(c.headline())
	}
	var lines [][]string
	for _, s := range scenarios {
		lines = append(lines, append([]string{s}, rows[s]...))
	}
	w.table(append([]string{"scenario: its figure"}, architectures...), lines)
	if slices.ContainsFunc(w.cells, func(c *cell) bool { return len(c.valid()) > 1 }) {
		w.paragraph("Median of the valid trials, and their range.")
	}
	for _, s := range scenarioMeanings {
		if slices.ContainsFunc(w.cells, func(c *cell) bool { return c.scenario == s.name }) {
			w.line("- **%s**: %s", s.name, s.meaning)
		}
	}
	w.line("- %s", w.correctInShort())
	if invalid := w.invalid(); len(invalid) > 0 {
		w.line("- **%d of %d measurements are invalid** and show no headline figure: see [Validity](#validity).", len(invalid), len(w.r.Measurements))
	}
	w.line("")
}

// scenarioName names a row of the headlines; variants of one scenario differ in it.
func (w *report) scenarioName(c *cell) string {
	name := c.scenario
	own := func(of func(*cell) string) bool { // whether the scenario comes with several
		return slices.ContainsFunc(w.cells, func(o *cell) bool { return o.scenario == c.scenario && of(o) != of(c) })
	}
	if own(func(c *cell) string { return c.workload }) {
		name += " on " + c.workload
	}
	if own(func(c *cell) string { return c.variant }) {
		name += " (" + c.variant + ")"
	}
	return name + ": " + c.headline().name
}

var scenarioMeanings = []struct{ name, meaning string }{
	{"steady", "events at a constant rate over a history that is there already. Freshness is the time from the moment an event was meant to be sent until answers include it; 99 of 100 events are at least as fresh as p99."},
	{"backfill", "the log is complete before the architecture starts; the figure is events per second from the start of its process until answers include all of them."},
	{"reprocess", "new business rules are posted while events arrive; the figure is the time from the request until answers follow the new rules, switched at once over the whole history."},
}

func (w *report) invalid() []*results.Measurement {
	var all []*results.Measurement
	for i := range w.r.Measurements {
		if m := &w.r.Measurements[i]; !m.Valid {
			all = append(all, m)
		}
	}
	return all
}

// correctInShort is correctness over everything, in a sentence.
func (w *report) correctInShort() string {
	var reads, readsWrong, rows, rowsWrong int64
	judged := false
	for _, c := range w.cells {
		r, rw, n, nw, any := c.wrong()
		reads, readsWrong, rows, rowsWrong, judged = reads+r, readsWrong+rw, rows+n, rowsWrong+nw, judged || any
	}
	switch {
	case !judged:
		return "No answer was judged."
	case w.wrongAlerts() > 0:
		return fmt.Sprintf("**Alerts were wrong**: %s were missing, extra or wrong; %s of %s reads and %s of %s rows at the end were. See [Correctness](#correctness).",
			count(w.wrongAlerts()), count(readsWrong), count(reads), count(rowsWrong), count(rows))
	case readsWrong+rowsWrong > 0:
		return fmt.Sprintf("**Answers were wrong**: %s of %s reads and %s of %s rows at the end. See [Correctness](#correctness).", count(readsWrong), count(reads), count(rowsWrong), count(rows))
	}
	sentence := fmt.Sprintf("No answer was wrong: 0 of %s reads and 0 of %s rows at the end, each compared exactly.", count(reads), count(rows))
	if w.bounded() {
		sentence += " Under policy bounded, that is by the policy's own definitions; how far such answers lie from the exact ones stands under [Correctness](#correctness)."
	}
	if w.lesser() {
		sentence += " Under at-most-once and at-least-once duplicates in the traffic count as often as they come, by definition."
	}
	return sentence
}

// wrongAlerts counts those that are missing, extra or wrong where none may be.
func (w *report) wrongAlerts() (n int64) {
	for i := range w.r.Measurements {
		if m := &w.r.Measurements[i]; m.Alerts.Any() && !lesser(m) {
			n += m.Alerts.Missing + m.Alerts.Extra + m.Alerts.Wrong
		}
	}
	return n
}

// lesser reports whether anything was measured under a lesser guarantee.
func (w *report) lesser() bool {
	return slices.ContainsFunc(w.r.Measurements, func(m results.Measurement) bool { return lesser(&m) })
}

// bounded reports whether anything was judged by definitions that are not the exact ones.
func (w *report) bounded() bool {
	return slices.ContainsFunc(w.r.Measurements, func(m results.Measurement) bool { return m.PolicyDivergence != nil })
}

// setting is what was run, and on what.
func (w *report) setting() {
	r := w.r
	w.paragraph("## What was run, and on what")
	w.line("- Machine: %s, %d cores, %s of memory, %s, Linux %s, %s", r.Host.CPU, r.Host.Cores, bytes(r.Host.MemoryBytes), r.Host.OS, r.Host.Kernel, r.Host.Go)
	if r.Host.CPUSets.SharedCPU {
		w.line("- Processors: **shared** between the harness and the architectures (`shared_cpu`): processor figures are not each side's own")
	} else {
		w.line("- Processors: harness and broker on %v, the architecture on %v", r.Host.CPUSets.Harness, r.Host.CPUSets.Architecture)
	}
	w.line("- Taken by the machine's own host: %.1f %% of the processors' time", r.Host.StealPercent)
	compressed := ""
	if r.Broker.Compression != "" {
		compressed = ", what is written compressed by " + r.Broker.Compression
	}
	w.line("- Broker: %s, %d partitions of each topic%s", brokerName(r.Broker), r.Broker.Partitions, compressed)
	for _, why := range r.Broker.Because {
		w.line("- Passed over: %s", why)
	}
	var said []string
	for _, source := range r.Workloads {
		if text := workload(source); !slices.Contains(said, text) {
			said = append(said, text)
			w.line("- Workload %s", text)
		}
	}
	w.line("")
	var rows [][]string
	for _, c := range w.cells {
		m := c.trials[0]
		offered := none
		if m.Load.OfferedPerS > 0 {
			offered = perSecond(m.Load.OfferedPerS)
		}
		disturbed := fmt.Sprintf("%s / %s / %s", count(m.Load.Duplicates), count(m.Load.Late), count(m.Load.Poison))
		rows = append(rows, []string{c.scenario, c.architecture, c.workload, count(m.Load.Events), count(m.Load.History), disturbed, offered, c.variant, count(int64(len(c.trials)))})
	}
	w.table([]string{"scenario", "architecture", "workload", "events", "of them history", "duplicate / late / unusable", "live rate", "conditions", "trials"}, rows)
}

func workload(s results.Workload) string {
	text := fmt.Sprintf("`%s`: %s", s.ID, s.Source)
	var parameters []string
	for _, k := range slices.Sorted(maps.Keys(s.Parameters)) {
		parameters = append(parameters, k+" "+s.Parameters[k])
	}
	if len(parameters) > 0 {
		text += " (" + strings.Join(parameters, ", ") + ")"
	}
	if s.SHA256 != "" {
		text += ", SHA-256 `" + s.SHA256 + "`"
	}
	if s.Note != "" {
		text += ". " + s.Note
	}
	return text
}

func (w *report) repetition() {
	w.paragraph("## How to repeat it")
	w.line("```\n%s\n```\n", w.r.Run.Command)
	built := "a build that names no commit"
	if w.r.Run.Commit != "" {
		built = "commit `" + w.r.Run.Commit + "`"
		if w.r.Run.Dirty {
			built += " with changes that are in no commit"
		}
	}
	w.paragraph("Seed %d, %s. `config.yaml` beside this report holds every setting: `archbench run --config config.yaml`. The raw files of each measurement stand in its folder; "+
		"`archbench report` writes this page again from `result.json`.", w.r.Run.Seed, built)
}
