package render

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"archbench/results"
)

// Table is the result in a few columns, for a terminal.
func Table(r *results.Result) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tarchitecture\tresult\tfreshness p99\tread age p99\tanswer p99\twrong reads\twrong rows at the end\tCPU s/M\tRSS peak\tvalid")
	for i := range r.Measurements {
		m := &r.Measurements[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Scenario, m.Architecture, headline(m),
			p99(m, m.FreshnessUS), p99(m, m.AgeUS), p99(m, m.AnswerUS), wrongReads(m), wrongRows(m), cpu(m), rss(m), valid(m))
	}
	w.Flush() // a buffer takes everything
	return b.String()
}

// headline is the one figure that a scenario is about.
func headline(m *results.Measurement) string {
	switch {
	case !m.Valid:
		return "–"
	case m.Throughput != nil:
		return fmt.Sprintf("%.0f events/s", m.Throughput.EventsPerS)
	case m.Reprocess != nil:
		return fmt.Sprintf("switched in %.1f s", m.Reprocess.Seconds)
	}
	return fmt.Sprintf("%.0f events/s offered", m.Load.OfferedPerS)
}

func p99(m *results.Measurement, p *results.Percentiles) string {
	switch {
	case p == nil || !m.Valid:
		return "–"
	case p.P99 == nil && p.Note != "":
		short, _, _ := strings.Cut(p.Note, " for ")
		return short
	case p.P99 == nil:
		return "–"
	}
	return fmt.Sprintf("%.1f ms", float64(*p.P99)/1000)
}

func wrongReads(m *results.Measurement) string {
	if m.Divergence == nil {
		return "–"
	}
	return fmt.Sprintf("%d of %d", m.Divergence.ReadsWrong, m.Divergence.Reads)
}

func wrongRows(m *results.Measurement) string {
	if m.Divergence == nil || m.Divergence.Final == nil {
		return "–"
	}
	f := m.Divergence.Final
	return fmt.Sprintf("%d of %d", f.RowsWrong+f.RowsMissing+f.RowsExtra, f.RowsChecked)
}

func cpu(m *results.Measurement) string {
	if m.Cost == nil || !m.Valid {
		return "–"
	}
	return fmt.Sprintf("%.1f", m.Cost.CPUSPerMillion)
}

func rss(m *results.Measurement) string {
	if m.Cost == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(m.Cost.RSSPeakBytes)/(1<<20))
}

func valid(m *results.Measurement) string {
	if m.Valid {
		return "yes"
	}
	return "NO"
}

// Report is report.md.
func Report(r *results.Result) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Lambda, Kappa and a unified lakehouse pipeline on one workload\n")
	p("Run `%s`, %s to %s.\n", r.Run.ID, r.Run.StartedAt.Format("2006-01-02 15:04:05"), r.Run.FinishedAt.Format("15:04:05 MST"))
	p("This compares three implementations of one order-analytics workload on one machine. It does not rank Flink, Spark or Kafka Streams, and its ratios are results, not targets.\n")
	for _, n := range r.Run.Notes {
		p("> %s\n", n)
	}
	p("## What it ran on\n")
	p("- Machine: %s, %d cores, %.0f GiB, %s, Linux %s, %s", r.Host.CPU, r.Host.Cores, float64(r.Host.MemoryBytes)/(1<<30), r.Host.OS, r.Host.Kernel, r.Host.Go)
	if r.Host.CPUSets.SharedCPU {
		p("- Processors: **shared** between the harness and the architectures (`shared_cpu`): processor figures are not each side's own")
	} else {
		p("- Processors: harness and broker on %v, the architecture on %v; stolen by the machine's host: %.1f %%", r.Host.CPUSets.Harness, r.Host.CPUSets.Architecture, r.Host.StealPercent)
	}
	p("- Broker: %s %s (%s), %d partitions", r.Broker.Product, r.Broker.Version, r.Broker.Kind, r.Broker.Partitions)
	if r.Broker.Kind == "embedded" {
		p("- **The broker is a stand-in and not Apache Kafka: no latency or throughput here is Kafka's.**")
	}
	for _, why := range r.Broker.Because {
		p("- Passed over: %s", why)
	}
	for _, w := range r.Workloads {
		p("- Workload `%s`: %s%s", w.ID, w.Source, note(w))
	}
	p("- Repeat it with: `%s`\n", r.Run.Command)
	p("## Results\n")
	p("| scenario | architecture | trial | result | freshness p50 / p99 | read age p99 | answer p99 | wrong reads | wrong rows at the end | CPU s per M events | RSS peak | disk |")
	p("|---|---|---|---|---|---|---|---|---|---|---|---|")
	for i := range r.Measurements {
		m := &r.Measurements[i]
		p("| %s | %s | %d | %s | %s / %s | %s | %s | %s | %s | %s | %s | %s |", m.Scenario, m.Architecture, m.Trial, headline(m), p50(m, m.FreshnessUS), p99(m, m.FreshnessUS),
			p99(m, m.AgeUS), p99(m, m.AnswerUS), wrongReads(m), wrongRows(m), cpu(m), rss(m), disk(m))
	}
	p("")
	remarks(p, r)
	p("## How to read this\n")
	p("- **Wrong and late are told apart.** Every answer names the offsets it covers. *Wrong* compares it with the truth at exactly those offsets, computed by a third, independent implementation. *Late* is the rest:")
	p("- **freshness**: from the moment an event was meant to be sent to the announcement that answers include it, over every event of the window;")
	p("- **read age**: how old the oldest event is that a reader's answer does not yet show, when the answer arrives; 0 if it shows all that were due;")
	p("- **answer**: from a read's scheduled time to its whole body.")
	p("- **steady** sends at a constant rate over a history; **backfill** starts an architecture on a complete log and ends when answers include all of it; **reprocess** posts rules 2 under live load and ends at the atomic switch.")
	p("- A percentile that too few independent announcements support is left out and says so. A measurement that failed a gate is marked and shows no headline figure.\n")
	if f := r.Floors; f != nil {
		p("## Floors of this machine\n")
		p("Without any architecture: read %.2f M records per CPU second, read and decode %.2f M; produce→consume p50 %s, p99 %s.\n", f.ReadPerCPUS/1e6, f.DecodePerCPUS/1e6, ms(f.ProduceConsumeUS, false), ms(f.ProduceConsumeUS, true))
	}
	return b.String()
}

func remarks(p func(string, ...any), r *results.Result) {
	for i := range r.Measurements {
		m := &r.Measurements[i]
		name := fmt.Sprintf("%s on %s, trial %d", m.Scenario, m.Architecture, m.Trial)
		for _, why := range m.InvalidBecause {
			p("- **%s is invalid**: %s", name, why)
		}
		for _, n := range m.Notes {
			p("- %s: %s", name, n)
		}
		if rp := m.Reprocess; rp != nil && rp.FreshnessP99BeforeUS != nil && rp.FreshnessP99DuringUS != nil && m.Valid {
			p("- %s: freshness p99 went from %.1f ms before the reprocess to %.1f ms during it", name, float64(*rp.FreshnessP99BeforeUS)/1000, float64(*rp.FreshnessP99DuringUS)/1000)
		}
		if m.Divergence != nil {
			for _, e := range m.Divergence.Examples {
				p("- **%s, wrong**: %s", name, e)
			}
		}
	}
	p("")
}

func note(w results.Workload) string {
	s := ""
	if w.SHA256 != "" {
		s = ", SHA-256 " + w.SHA256
	}
	if w.Note != "" {
		s += " (" + w.Note + ")"
	}
	return s
}

func p50(m *results.Measurement, p *results.Percentiles) string {
	if p == nil || !m.Valid || p.P50 == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f ms", float64(*p.P50)/1000)
}

func ms(p *results.Percentiles, tail bool) string {
	switch {
	case p == nil:
		return "–"
	case tail && p.P99 != nil:
		return fmt.Sprintf("%.1f ms", float64(*p.P99)/1000)
	case !tail && p.P50 != nil:
		return fmt.Sprintf("%.1f ms", float64(*p.P50)/1000)
	}
	return "–"
}

func disk(m *results.Measurement) string {
	if m.Cost == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(m.Cost.DiskBytes)/(1<<20))
}
