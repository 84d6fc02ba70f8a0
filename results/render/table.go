package render

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"archbench/results"
)

// standIn is said wherever the figures of a stand-in are shown.
const standIn = "The broker is a stand-in and not Apache Kafka: no latency or throughput here is Kafka's."

// Table is the result in a few columns, for a terminal.
func Table(r *results.Result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := []figure{freshnessP99, ageP99, answerP99}
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	line("scenario", "architecture", "headline", "freshness p99", "read age p99", "answer p99", "wrong reads", "wrong rows at the end", "CPU/M events", "memory", "valid")
	var notes []string
	for _, c := range cells(r) {
		h := c.headline()
		text := c.summary(h)
		if h.name != freshnessP99.name && len(c.valid()) > 0 {
			text = h.name + " " + text
		} else if len(c.valid()) > 0 {
			text = none // the next column is the headline
		}
		row := []string{c.scenario, c.architecture, text}
		for _, f := range columns {
			row = append(row, orNone(c, f))
		}
		line(append(row, c.wrongReads(), c.wrongRows(), orNone(c, cpuPerMillion), orNone(c, memoryPeak), c.validity())...)
		for _, m := range c.trials {
			if d := m.Divergence; m.PolicyDivergence != nil {
				notes = append(notes, fmt.Sprintf("%s, under %s: %s of %s reads differ from the exact answers, and %s of %s rows at the end", name(m), terms(m),
					count(d.ReadsWrong), count(d.Reads), count(d.Final.Wrong()), count(d.Final.Checked())))
			}
			for _, why := range m.InvalidBecause {
				notes = append(notes, fmt.Sprintf("%s on %s, trial %d, is invalid: %s", m.Scenario, m.Architecture, m.Trial, why))
			}
		}
	}
	w.Flush() // a builder takes everything
	b.WriteString("\n")
	for _, n := range append(notes, r.Run.Notes...) {
		fmt.Fprintln(&b, n)
	}
	fmt.Fprintf(&b, "broker: %s\n", brokerName(r.Broker))
	if r.Broker.Kind == "embedded" {
		fmt.Fprintln(&b, standIn)
	}
	return b.String()
}

// orNone leaves out what an invalid cell has, without repeating why.
func orNone(c *cell, f figure) string {
	if len(c.valid()) == 0 {
		return none
	}
	return c.summary(f)
}

func brokerName(b results.Broker) string {
	name := b.Product
	if b.Version != "" {
		name += " " + b.Version
	}
	return fmt.Sprintf("%s (%s)", name, b.Kind)
}
