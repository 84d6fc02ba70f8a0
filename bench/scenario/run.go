package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"archbench/bench/clock"
	"archbench/bench/host"
	"archbench/common/eventlog/kafkalog"
	"archbench/results"
	broker "archbench/testcontainers"
	"archbench/workloads/catalog"
	"archbench/workloads/onlineretail"
)

// syntheticEvents is how many events a backfill or reprocess of synthetic takes.
const syntheticEvents = 500_000

// run is a run under way.
type run struct {
	Plan
	*progress
	clock    clock.Clock
	kafkalog *kafkalog.Log
	broker   broker.Broker
	result   *results.Result
}

// FailedError says which measurements an architecture did not get through: its
// process ended, an answer never came, a reprocess failed. The result is there
// nevertheless; these measurements are invalid in it, with the reason.
type FailedError struct{ Measurements []string }

func (e *FailedError) Error() string {
	return "measurements failed: " + strings.Join(e.Measurements, "; ")
}

// Run runs the plan and writes its directory. With a *FailedError there is a
// result; with any other error there is none.
func Run(ctx context.Context, p Plan) (_ *results.Result, err error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	p.fixed = p.fixed.withDefaults()
	began := time.Now()
	r := &run{Plan: p, progress: newProgress(p.Progress, began), clock: clock.From(began), result: &results.Result{Schema: results.Schema}}
	defer r.hide()
	if err := r.findData(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.Out, 0o755); err != nil {
		return nil, fmt.Errorf("make the run's directory: %w", err)
	}
	ticks, err := host.ReadTicks()
	if err != nil {
		return nil, err
	}
	if err := r.setUp(ctx); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, r.kafkalog.Close(), r.broker.Close(), host.Restrict(host.All(r.result.Host.CPUSets)))
	}()
	failed, err := r.measureAll(ctx)
	if err != nil {
		return nil, err
	}
	r.result.Run.FinishedAt = time.Now().UTC()
	if r.result.Host.StealPercent, err = host.StealPercent(ticks); err != nil {
		return nil, err
	}
	if err := results.Write(p.Out, r.result); err != nil {
		return nil, err
	}
	if len(failed) > 0 {
		return r.result, &FailedError{failed}
	}
	return r.result, nil
}

// measureAll makes the floors and every measurement, one after the other.
func (r *run) measureAll(ctx context.Context) (failed []string, err error) {
	cells, err := r.cells()
	if err != nil {
		return nil, err
	}
	total := 10 * time.Second // the floors
	for i := range cells {
		total += cells[i].estimate()
	}
	r.say("%d measurements, about %v", len(cells), total.Round(10*time.Second))
	if r.result.Floors, err = r.floors(ctx); err != nil {
		return nil, fmt.Errorf("measure the floors: %w", err)
	}
	for i, c := range cells {
		name := fmt.Sprintf("%s on %s", c.scenario, c.name)
		if r.Trials > 1 {
			name += fmt.Sprintf(", trial %d", c.trial)
		}
		label := fmt.Sprintf("[%d/%d] %s", i+1, len(cells), name)
		r.say("%s, %s", label, c.workload)
		m, broke, err := r.measure(ctx, c, label)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if broke != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", name, broke))
		}
		r.result.Measurements = append(r.result.Measurements, *m)
		r.say("        %s", summary(m))
	}
	return failed, nil
}

// findData sees to it that the data is there before anything is started. The
// quick suite takes synthetic events where it is not.
func (r *run) findData() error {
	if r.Suite == Quick {
		_, err := onlineretail.Find(r.WorkloadPath)
		if errors.Is(err, onlineretail.ErrNotFound) {
			note := "the Online Retail data was not found, so backfill and reprocess ran on synthetic events; " + onlineretail.HowToGet
			r.result.Run.Notes = append(r.result.Run.Notes, note)
			r.say("%s", note)
			return nil
		}
		return err
	}
	s, err := catalog.Open(r.choice(r.Workload, 1))
	if err != nil {
		return err
	}
	return s.Close()
}

func (r *run) lacksData() bool { return len(r.result.Run.Notes) > 0 }

// setUp parts the processors, starts the broker and connects to it.
func (r *run) setUp(ctx context.Context) error {
	sets, err := host.Part()
	if err != nil {
		return err
	}
	r.result.Host = host.Describe()
	r.result.Host.CPUSets = sets
	o := r.Broker
	o.CPUs, o.Client = sets.Harness, r.Kafka
	r.say("starting a broker (%s)", o.Kind)
	if r.broker, err = broker.Start(ctx, o); err != nil {
		return err
	}
	if err := host.Restrict(sets.Harness); err != nil {
		return errors.Join(err, r.broker.Close())
	}
	i := r.broker.Info()
	r.result.Broker = results.Broker{Kind: i.Kind, Product: i.Product, Version: i.Version, Image: i.Image, Partitions: r.Partitions, Because: i.Because, Compression: compression(r.Kafka)}
	for _, why := range i.Because {
		r.say("passed over %s", why)
	}
	r.say("broker: %s %s (%s)", i.Product, i.Version, i.Kind)
	if !i.Real() {
		r.say("these figures are not Kafka's")
	}
	config := r.Kafka
	config.Bootstrap, config.ClientID = r.broker.Bootstrap(), "archbench-"+filepath.Base(r.Out)
	if r.kafkalog, err = kafkalog.Open(ctx, config); err != nil {
		return errors.Join(err, r.broker.Close(), host.Restrict(host.All(sets)))
	}
	r.result.Run = results.Run{ID: filepath.Base(r.Out), StartedAt: r.began.UTC(), Suite: r.Suite, Seed: r.Seed, Command: r.CommandLine,
		Commit: r.Commit, Dirty: r.Dirty, Notes: r.result.Run.Notes}
	return nil
}

// compression is that of what the harness writes, empty for none.
func compression(c kafkalog.Config) string {
	if c.Compression == kafkalog.Uncompressed {
		return ""
	}
	return c.Compression
}

// addWorkload lists a workload once.
func (r *run) addWorkload(w results.Workload) {
	for _, have := range r.result.Workloads {
		if have.ID == w.ID && have.Parameters["events"] == w.Parameters["events"] {
			return
		}
	}
	r.result.Workloads = append(r.result.Workloads, w)
}

// summary is a measurement in a line.
func summary(m *results.Measurement) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if !m.Valid {
		add("INVALID: %s", strings.Join(m.InvalidBecause, "; "))
	}
	if t := m.Throughput; t != nil && m.Valid {
		add("%d events in %.1f s (%.0f/s)", t.Events, t.Seconds, t.EventsPerS)
	}
	if rp := m.Reprocess; rp != nil && m.Valid {
		add("rules switched after %.1f s over %d events", rp.Seconds, rp.HistoryEvents)
	}
	if f := m.FreshnessUS; f != nil && f.P99 != nil && m.Valid {
		add("freshness p99 %.1f ms", float64(*f.P99)/1000)
	}
	if d := m.MustBeNone(); d != nil {
		add("%d reads, %d wrong", d.Reads, d.ReadsWrong)
		if d.Final != nil {
			add("final rows %d, wrong %d", d.Final.RowsChecked, d.Final.RowsWrong+d.Final.RowsMissing+d.Final.RowsExtra)
		}
	}
	if a := m.Alerts; a != nil {
		add("alerts %d, missing %d, extra %d, wrong %d", a.Expected, a.Missing, a.Extra, a.Wrong)
	}
	return strings.Join(parts, ", ")
}
