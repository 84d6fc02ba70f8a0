package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"archbench/bench/gate"
	"archbench/bench/host"
	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/bench/process"
	"archbench/bench/readers"
	"archbench/bench/stats"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/results"
	"archbench/results/hlog"
)

// coverPatience bounds the wait for an architecture to catch up with the log.
const coverPatience = 5 * time.Minute

// trial is one measurement under way.
type trial struct {
	*run
	cell
	dir        string
	topics     eventlog.Topics
	loader     *load.Loader
	history    int64 // events before the architecture starts, -1: all
	liveEvents int64 // of a reprocess
	live       *load.Live
	ticks      host.Ticks

	process *process.Process
	client  *serving.Client
	spool   *readers.Spool

	mu        sync.Mutex
	announced []serving.Announced
	listening error // why the stream ended, if it did

	m *results.Measurement
}

func (r *run) prefix(name string) string {
	return strings.Map(func(c rune) rune { // topic names take letters, digits, dots, dashes
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, filepath.Base(r.Out)+"."+strconv.FormatInt(r.began.UnixMilli(), 36)+"."+name)
}

// measure makes one measurement: traffic, then the verdict.
func (r *run) measure(ctx context.Context, c cell) (_ *results.Measurement, err error) {
	t := &trial{run: r, cell: c, dir: filepath.Join(r.Out, c.scenario, c.architecture, fmt.Sprintf("trial-%d", c.trial))}
	if err := os.MkdirAll(filepath.Join(t.dir, "views"), 0o755); err != nil {
		return nil, fmt.Errorf("make the measurement's directory: %w", err)
	}
	if t.ticks, err = host.ReadTicks(); err != nil {
		return nil, err
	}
	t.m = &results.Measurement{Scenario: c.scenario, Architecture: c.architecture, Policy: string(r.Policy), Guarantee: string(r.Guarantee), Trial: c.trial,
		Variant: map[string]string{"trigger": c.trigger.String(), "batch_interval": c.batchInterval.String()}}
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, r.kafkalog.Delete(end, t.topics.All()...))
	}()
	if err := t.traffic(ctx); err != nil {
		return nil, err
	}
	if err := t.verdict(ctx); err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	return t.m, nil
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
	if t.scenario == Steady {
		events = 0 // the duration ends it
	}
	source, err := t.source(workload, events)
	if err != nil {
		return err
	}
	d := source.Describe()
	t.m.Workload = d.ID
	t.addWorkload(results.Workload{ID: d.ID, Source: d.Source, SHA256: d.SHA256, Parameters: d.Parameters, Note: d.Note})
	t.topics = eventlog.TopicsOf(t.prefix(fmt.Sprintf("%s-%s-%d", t.scenario, t.architecture, t.trial)))
	if err := t.kafkalog.Create(ctx, t.Partitions, t.topics.All()...); err != nil {
		return errors.Join(err, source.Close())
	}
	t.loader = load.New(t.kafkalog, t.topics, t.Partitions, source)
	lines := source.Lines()
	switch {
	case t.scenario == Backfill:
		t.history = -1
	case t.scenario == Reprocess:
		t.liveEvents = liveLines(lines, t.rate)
		t.history = source.Events() - t.liveEvents
	case lines >= 0:
		t.history = min(t.cell.history, lines/2)
	default:
		t.history = t.cell.history
	}
	return nil
}

// liveLines is how many lines of a reprocess are live.
func liveLines(lines int64, rate float64) int64 { return min(lines/10, int64(30*rate)) }

// start starts the architecture and listens to its coverage.
func (t *trial) start(ctx context.Context) error {
	config := filepath.Join(t.dir, "config.yaml")
	data := filepath.Join(t.dir, "data")
	if err := t.ArchitectureConfig(config, ProcessConfig{Bootstrap: t.broker.Bootstrap(), Topics: strings.TrimSuffix(t.topics.Orders, ".orders"), DataDir: data,
		Params: t.Params, Policy: t.Policy, Guarantee: t.Guarantee, Rules: view.EveryLine, Trigger: t.trigger, BatchInterval: t.batchInterval}); err != nil {
		return fmt.Errorf("write the process's configuration: %w", err)
	}
	var err error
	command := append(t.Executable[:len(t.Executable):len(t.Executable)], "serve", t.architecture, "--config", config)
	if t.process, err = process.Start(ctx, command, data, filepath.Join(t.dir, "process.log"), t.result.Host.CPUSets.Architecture); err != nil {
		return err
	}
	t.client = serving.NewClient(t.process.Address, "")
	return nil
}

// listen collects announcements until the context ends.
func (t *trial) listen(ctx context.Context) {
	err := t.client.Listen(ctx, func(a serving.Announced) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.announced = append(t.announced, a)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() == nil {
		t.listening = fmt.Errorf("the coverage stream ended: %w", err)
	}
}

// latest is the last announcement that arrived.
func (t *trial) latest() (serving.Announced, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.announced) == 0 {
		return serving.Announced{}, t.listening
	}
	return t.announced[len(t.announced)-1], t.listening
}

// until waits for an announcement that ok accepts.
func (t *trial) until(ctx context.Context, what string, ok func(serving.Announced) bool) error {
	deadline := time.Now().Add(coverPatience)
	for {
		a, err := t.latest()
		if err != nil {
			return err
		}
		if a.Coverage.Orders != nil && ok(a) {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.process.Done():
			return fmt.Errorf("the process ended while %s: %w; see %s", what, t.process.Err(), filepath.Join(t.dir, "process.log"))
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come within %v: coverage is %s", what, coverPatience, a.Coverage)
		}
	}
}

// sentSoFar is the coverage of everything sent.
func (t *trial) sentSoFar() coverage.Coverage {
	c := coverage.Zero(t.Partitions)
	for p := range t.Partitions {
		c.Orders[p], c.Customers[p] = int64(len(t.loader.Sent().Orders[p])), int64(len(t.loader.Sent().Customers[p]))
	}
	return c
}

// traffic runs the scenario and leaves raw files.
func (t *trial) traffic(ctx context.Context) (err error) {
	sent, err := t.sendHistory(ctx)
	if err != nil {
		return err
	}
	t.m.Load.History = sent
	if t.spool, err = readers.NewSpool(filepath.Join(t.dir, "answers.zst")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.spool.Close()) }()
	began := time.Now()
	if err := t.start(ctx); err != nil {
		return err
	}
	defer func() {
		t.client.Close()
		err = errors.Join(err, t.process.End(), os.RemoveAll(filepath.Join(t.dir, "data")))
	}()
	lctx, stopListening := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stopListening()
	background.Go(func() { t.listen(lctx) })
	background.Go(func() { t.sampleUsage(lctx, began) })

	switch t.scenario {
	case Steady:
		err = t.steady(ctx)
	case Backfill:
		err = t.backfill(ctx, began)
	case Reprocess:
		err = t.reprocess(ctx)
	}
	if err != nil {
		return err
	}
	return t.dump(ctx)
}

// sendHistory sends what is there before the architecture starts.
func (t *trial) sendHistory(ctx context.Context) (int64, error) {
	return t.loader.History(ctx, t.history)
}

// read starts the readers; the function returned ends them.
func (t *trial) read(ctx context.Context, start time.Time) (stop func()) {
	rctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	plan := readers.Plan{PerSecond: t.ReadsPerS, Seed: t.Seed, EarliestMS: t.loader.EarliestMS, LatestMS: t.loader.LatestMS, Params: t.Params}
	go func() {
		defer close(done)
		readers.Run(rctx, t.client, plan, start, t.spool)
	}()
	return func() {
		cancel()
		<-done
	}
}

// steady sends at a constant rate over a history; the window begins after the warm-up.
func (t *trial) steady(ctx context.Context) error {
	if err := t.until(ctx, "covering the history", t.covers(t.sentSoFar())); err != nil {
		return err
	}
	start := time.Now()
	from := start.Add(t.warmUp())
	stop := t.read(ctx, from)
	var before, after architecture.Status
	var usedBefore, usedAfter process.Usage
	marks := make(chan error, 1)
	go func() {
		marks <- errors.Join(t.mark(ctx, from, &before, &usedBefore), t.mark(ctx, from.Add(t.duration), &after, &usedAfter))
	}()
	live, err := t.loader.Live(ctx, start, t.rate, int64(t.rate*(t.warmUp()+t.duration).Seconds()))
	if err == nil {
		err = <-marks
	}
	if err == nil {
		err = t.until(ctx, "covering the live events", t.covers(t.sentSoFar()))
	}
	stop()
	if err != nil {
		return err
	}
	t.live = &live
	window := ledger.Window{From: from.UnixMicro(), To: from.Add(t.duration).UnixMicro()}
	f, err := t.freshness(window, "freshness.hlog")
	if err != nil {
		return err
	}
	t.m.FreshnessUS = f.Percentiles(f.Announcements)
	t.m.Batches = &results.Batches{Count: after.Commits - before.Commits}
	facts := gate.Facts{Never: f.Never, Lambda: t.architecture == "lambda", Batches: &t.m.Batches.Count}
	if facts.Lambda && after.Batch != nil && before.Batch != nil {
		t.m.Batches.Count = after.Batch.Runs - before.Batch.Runs
		t.m.Batches.IntervalSeconds = after.Batch.IntervalSeconds
	}
	events := int64(f.TotalCount())
	t.cost(usedBefore, usedAfter, events)
	return t.gates(facts)
}

// mark takes status and usage at a moment.
func (t *trial) mark(ctx context.Context, at time.Time, s *architecture.Status, u *process.Usage) error {
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	if *s, err = t.client.Status(ctx); err != nil {
		return err
	}
	*u, err = t.process.Usage()
	return err
}

func (t *trial) cost(before, after process.Usage, events int64) {
	cpu := after.CPUSeconds - before.CPUSeconds
	t.m.Cost = &results.Cost{CPUS: cpu, RSSPeakBytes: after.RSSPeak, DiskBytes: after.Disk}
	if events > 0 {
		t.m.Cost.CPUSPerMillion = cpu / float64(events) * 1e6
	}
}

func (t *trial) covers(at coverage.Coverage) func(serving.Announced) bool {
	return func(a serving.Announced) bool { return a.Coverage.AtLeast(at) }
}

// backfill starts the architecture on a log that is complete.
func (t *trial) backfill(ctx context.Context, began time.Time) error {
	stop := t.read(ctx, time.Now())
	err := t.until(ctx, "covering the log", t.covers(t.sentSoFar()))
	stop()
	if err != nil {
		return err
	}
	seconds := t.firstCovering(t.sentSoFar(), 0).Sub(began).Seconds()
	used, err := t.process.Usage()
	if err != nil {
		return err
	}
	n := t.loader.Sent().Events()
	t.m.Throughput = &results.Throughput{Events: n, Seconds: seconds, EventsPerS: float64(n) / seconds, EventsPerCPUS: float64(n) / used.CPUSeconds}
	t.cost(process.Usage{}, used, n)
	return t.gates(gate.Facts{})
}

// firstCovering is when the first announcement that includes at, under these
// rules (0: any), arrived.
func (t *trial) firstCovering(at coverage.Coverage, rules view.Rules) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.announced {
		if a.Coverage.AtLeast(at) && (rules == 0 || a.Rules == rules) {
			return a.At
		}
	}
	return time.Time{}
}

// reprocess posts new rules a third into the live part.
func (t *trial) reprocess(ctx context.Context) error {
	if err := t.until(ctx, "covering the history", t.covers(t.sentSoFar())); err != nil {
		return err
	}
	n := t.liveEvents
	start := time.Now()
	stop := t.read(ctx, start)
	defer stop()
	post := start.Add(time.Duration(float64(n) / t.rate / 3 * float64(time.Second)))
	var requested time.Time
	var usedBefore process.Usage
	posted := make(chan error, 1)
	go func() {
		posted <- func() error {
			var s architecture.Status
			if err := t.mark(ctx, post, &s, &usedBefore); err != nil {
				return err
			}
			requested = time.Now()
			outcome, err := t.client.Reprocess(ctx, view.MerchandiseOnly)
			if err == nil && outcome != architecture.Started {
				err = fmt.Errorf("the reprocess did not start: outcome %d", outcome)
			}
			return err
		}()
	}()
	live, err := t.loader.Live(ctx, start, t.rate, n)
	if err != nil {
		return err
	}
	t.live = &live
	if err := <-posted; err != nil {
		return err
	}
	if err := t.until(ctx, "the switch to the new rules", func(a serving.Announced) bool {
		return a.Rules == view.MerchandiseOnly && a.Coverage.AtLeast(t.sentSoFar())
	}); err != nil {
		return err
	}
	used, err := t.process.Usage()
	if err != nil {
		return err
	}
	switched := t.firstCovering(coverage.Zero(t.Partitions), view.MerchandiseOnly)
	return t.reprocessed(requested, switched, usedBefore, used)
}

// reprocessed works out the figures of a reprocess.
func (t *trial) reprocessed(requested, switched time.Time, before, after process.Usage) error {
	seconds := switched.Sub(requested).Seconds()
	t.m.Reprocess = &results.Reprocess{HistoryEvents: t.m.Load.History, Seconds: seconds, EventsPerS: float64(t.m.Load.History) / seconds,
		CPUS: after.CPUSeconds - before.CPUSeconds, RSSPeakBytes: after.RSSPeak, DiskBytes: after.Disk}
	whole, err := t.freshness(ledger.Window{From: t.live.Start.UnixMicro(), To: t.live.End.UnixMicro() + 1}, "freshness.hlog")
	if err != nil {
		return err
	}
	t.m.FreshnessUS = whole.Percentiles(whole.Announcements)
	earlier, err := t.freshness(ledger.Window{From: t.live.Start.UnixMicro(), To: requested.UnixMicro()}, "")
	if err != nil {
		return err
	}
	t.m.Reprocess.FreshnessP99BeforeUS = earlier.Percentiles(earlier.Announcements).P99
	if t.live.End.Before(switched) {
		t.m.Notes = append(t.m.Notes, "the live part ended before the switch: there is no freshness during the reprocess")
	} else if during, err := t.freshness(ledger.Window{From: requested.UnixMicro(), To: switched.UnixMicro()}, ""); err != nil {
		return err
	} else {
		t.m.Reprocess.FreshnessP99DuringUS = during.Percentiles(during.Announcements).P99
	}
	t.cost(process.Usage{}, after, t.loader.Sent().Events())
	return t.gates(gate.Facts{Never: whole.Never})
}

// freshness measures a window of intended times, and keeps the histogram in a file if one is named.
func (t *trial) freshness(w ledger.Window, name string) (ledger.Freshness, error) {
	t.mu.Lock()
	announced := t.announced[:len(t.announced):len(t.announced)]
	t.mu.Unlock()
	f, err := ledger.Measure(t.loader.Sent(), announced, w, time.Now())
	if err != nil || name == "" {
		return f, err
	}
	return f, hlog.Write(filepath.Join(t.dir, name), f.Histogram.Histogram, time.UnixMicro(w.From), time.UnixMicro(w.To))
}

// gates fills in the load and decides whether the measurement is valid.
func (t *trial) gates(f gate.Facts) error {
	t.m.Load.Events = t.loader.Sent().Events()
	if t.live != nil {
		t.m.Load.OfferedPerS, t.m.Load.AchievedPerS = t.rate, t.live.AchievedPS
		t.m.Load.GeneratorLagUS = t.live.Lag.Percentiles(t.live.Lag.TotalCount())
		if err := hlog.Write(filepath.Join(t.dir, "sends.hlog"), t.live.Lag.Histogram, t.live.Start, t.live.End); err != nil {
			return err
		}
		f.Lag, f.Offered, f.Achieved = t.m.Load.GeneratorLagUS, t.rate, t.live.AchievedPS
	}
	f.StealPercent = host.StealPercent(t.ticks)
	t.m.InvalidBecause = gate.Check(f)
	return nil
}

// verdict judges what was spooled and dumped, and completes the measurement.
func (t *trial) verdict(ctx context.Context) error {
	h, err := t.readLog(ctx)
	if err != nil {
		return err
	}
	j := judge.Judge{History: h, Params: t.Params}
	if t.m.Divergence, err = j.Reads(filepath.Join(t.dir, "answers.zst")); err != nil {
		return err
	}
	for _, v := range view.Names() {
		a, err := t.dumped(v)
		if err != nil {
			return err
		}
		if err := j.Final(a, t.m.Divergence); err != nil {
			return err
		}
	}
	if err := t.readFigures(); err != nil {
		return err
	}
	if err := t.writeRaw(); err != nil {
		return err
	}
	scheduled := t.m.Divergence.Reads + t.m.Divergence.Unanswered
	if t.scenario == Steady {
		scheduled = max(scheduled, int64(t.ReadsPerS*t.duration.Seconds()))
	}
	t.m.InvalidBecause = append(t.m.InvalidBecause, gate.Check(gate.Facts{Scheduled: scheduled, Read: t.m.Divergence.Reads})...)
	t.m.Valid = len(t.m.InvalidBecause) == 0
	return nil
}

// readFigures works out age and answer time of every read.
func (t *trial) readFigures() error {
	age, answer := stats.New(), stats.New()
	liveFrom := time.Now().UnixMicro()
	if t.live != nil {
		liveFrom = t.live.Start.UnixMicro()
	}
	var n int64
	err := readers.ReadSpool(filepath.Join(t.dir, "answers.zst"), func(e *readers.Entry) error {
		if e.Error != "" {
			return nil
		}
		a, err := serving.ParseAnswerHead(e.Body)
		if err != nil {
			return nil // judged as wrong already
		}
		n++
		return errors.Join(answer.Record(e.ReceivedUS-e.SentUS), age.Record(ledger.Age(t.loader.Sent(), a.Coverage, time.UnixMicro(e.ReceivedUS), liveFrom)))
	})
	if err != nil {
		return err
	}
	t.m.AnswerUS = answer.Percentiles(n)
	if t.live != nil {
		t.m.AgeUS = age.Percentiles(n)
	}
	return hlog.Write(filepath.Join(t.dir, "answers.hlog"), answer.Histogram, t.began, time.Now())
}
