package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"archbench/bench/host"
	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/results"
	"archbench/workloads"
	"archbench/workloads/catalog"
)

// trial is one measurement under way.
type trial struct {
	*run
	cell
	label   string
	dir     string
	topics  eventlog.Topics
	created []string // those of the topics that were not there before
	source  workloads.Source
	loader  *load.Loader
	ticks   host.Ticks
	history int64 // events before the architecture starts, -1: all
	events  int64 // live ones
	engine  *engine
	seen    observed

	m *results.Measurement
}

// observed is what traffic leaves for the verdict, besides its files.
type observed struct {
	began         time.Time            // when the architecture was started
	live          *load.Live           // nil: there was no live part
	window        *ledger.Window       // nil: no freshness is measured
	before, after mark                 // around the window, or the whole of a backfill; of a reprocess, at the request and the end
	atSwitch      mark                 // of a reprocess
	requested     time.Time            // of a reprocess
	asked         int64                // reads
	reigns        []architecture.Reign // rules served, and from where on
	whole         bool                 // everything was covered and dumped
	endUS         int64                // when observation ended
}

// brokeError is what an architecture did wrong: it ends its measurement, not the run.
type brokeError struct{ error }

func (b *brokeError) Unwrap() error { return b.error }

func broke(format string, args ...any) error { return &brokeError{fmt.Errorf(format, args...)} }

// measure makes one measurement: traffic, then the verdict. What the
// architecture did wrong is in the measurement and returned as failed.
func (r *run) measure(ctx context.Context, c cell, label string) (_ *results.Measurement, failed, err error) {
	t := &trial{run: r, cell: c, label: label, dir: filepath.Join(r.Out, c.scenario, c.name, fmt.Sprintf("trial-%d", c.trial))}
	if err := os.MkdirAll(filepath.Join(t.dir, "views"), 0o755); err != nil {
		return nil, nil, fmt.Errorf("make the measurement's directory: %w", err)
	}
	if t.ticks, err = host.ReadTicks(); err != nil {
		return nil, nil, err
	}
	t.m = &results.Measurement{Scenario: c.scenario, Architecture: c.name, Policy: string(r.Policy), Guarantee: string(r.Guarantee), Trial: c.trial,
		Variant: map[string]string{"trigger": c.trigger.String(), "batch_interval": c.batchInterval.String()}}
	if r.Policy == architecture.Bounded {
		t.m.Variant["allowed_lateness"] = r.Lateness.String()
	}
	if err := t.open(ctx); err != nil {
		return nil, nil, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, t.source.Close(), r.remove(end, t.created))
	}()
	err = t.traffic(ctx)
	t.seen.endUS = t.clock.NowUS()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if b := (*brokeError)(nil); errors.As(err, &b) {
		failed, err = err, nil
		t.blame(failed)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := t.judged(ctx); err != nil {
		return nil, nil, fmt.Errorf("judge: %w", err)
	}
	return t.m, failed, nil
}

// everyLine reports whether the guarantee recognises no duplicates.
func (t *trial) everyLine() bool { return !t.Guarantee.RecognisesDuplicates() }

// bounded reports whether the measurement is judged by policy bounded.
func (t *trial) bounded() bool { return t.m.Policy == string(architecture.Bounded) }

// blame writes down what the architecture did wrong. After everything was
// measured it spoils no figure.
func (t *trial) blame(failed error) {
	if t.seen.whole {
		t.note("%v", failed)
		return
	}
	t.m.InvalidBecause = append(t.m.InvalidBecause, failed.Error())
}

// judged judges what the traffic left. Nothing is measured any more, so the
// collector may take its time: the truth is large and stays.
func (t *trial) judged(ctx context.Context) error {
	t.show("%s: judging", t.label)
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	return t.onAllProcessors(func() error { return t.verdict(ctx) })
}

// onAllProcessors does what goes on while no architecture runs.
func (t *trial) onAllProcessors(do func() error) (err error) {
	sets := t.result.Host.CPUSets
	if err := host.Restrict(host.All(sets)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Restrict(sets.Harness)) }()
	return do()
}

// open makes the topics and opens the workload.
func (t *trial) open(ctx context.Context) error {
	workload, events := t.workload, t.Events
	if workload == "online-retail" && t.lacksData() {
		workload, events = "synthetic", syntheticEvents
	}
	if t.scenario != Steady && events == 0 && workload == "synthetic" {
		events = syntheticEvents
	}
	choice := t.choice(workload, events)
	choice.Disturb.HalfWay = (t.cell.history + t.paced()) / 2
	var err error
	if t.source, err = catalog.Open(choice); err != nil {
		return err
	}
	d := t.source.Describe()
	t.m.Workload = d.ID
	t.addWorkload(results.Workload{ID: d.ID, Source: d.Source, SHA256: d.SHA256, Parameters: d.Parameters, Note: d.Note})
	t.topics = eventlog.TopicsOf(t.prefix(fmt.Sprintf("%s-%s-%d", t.scenario, t.name, t.trial)))
	if t.created, err = t.kafkalog.Provide(ctx, t.Partitions, t.topics.All()...); err != nil {
		return errors.Join(err, t.source.Close())
	}
	t.loader = load.New(t.kafkalog, t.topics, t.Partitions, t.source, t.clock)
	t.share()
	return nil
}

// share divides the source's events into history and live ones.
func (t *trial) share() {
	all := t.source.Events()
	switch t.scenario {
	case Backfill:
		t.history = -1
	case Reprocess:
		t.events = liveEvents(t.source.Lines(), t.rate)
		t.history = all - t.events
	default:
		t.history = t.cell.history
		t.events = t.paced()
		if all >= 0 {
			t.history = min(t.history, all/2)
			t.events = min(t.events, all-t.history)
		}
	}
}

// liveEvents is how many of a reprocess are live.
func liveEvents(lines int64, rate float64) int64 { return min(lines/10, int64(30*rate)) }
