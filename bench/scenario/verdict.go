package scenario

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/bench/gate"
	"archbench/bench/host"
	"archbench/bench/judge"
	"archbench/bench/ledger"
	"archbench/bench/readers"
	"archbench/bench/stats"
	"archbench/common/architecture"
	"archbench/common/oracle"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/results"
	"archbench/results/hlog"
)

// What percentiles' independent moments are called.
const (
	announcements = "announcements"
	reads         = "reads"
	events        = "events"
)

// verdict judges what was spooled and dumped, works out the figures and
// completes the measurement. It reads the log and the files alone.
func (t *trial) verdict(ctx context.Context) error {
	history := t.newHistory()
	book, err := ledger.Read(ctx, t.kafkalog, t.topics, t.loader.Sent(), history)
	if err != nil {
		return err
	}
	if book.Repeated > 0 {
		t.note("%d records stand in the log twice: the answer to a write was lost and it was repeated", book.Repeated)
	}
	facts := gate.Facts{WentBack: ledger.WentBack(t.engineAnnounced())}
	j := judge.Judge{History: history, Params: t.Params, Bounded: t.bounded(), EveryLine: t.everyLine()}
	if err := t.judge(j); err != nil {
		return err
	}
	alerts := func(book *ledger.Ledger, facts *gate.Facts) error { return t.judgeAlerts(j, book, facts) }
	all := []func(*ledger.Ledger, *gate.Facts) error{t.loadFigures, t.freshness, t.readFigures, alerts, t.scenarioFigures, t.writeRaw}
	if err := book.Check(t.engineAnnounced()); err != nil { // no figure can come of it
		t.m.InvalidBecause = append(t.m.InvalidBecause, err.Error())
		all = []func(*ledger.Ledger, *gate.Facts) error{t.loadFigures, t.writeRaw}
	}
	for _, figures := range all {
		if err := figures(book, &facts); err != nil {
			return err
		}
	}
	if facts.StealPercent, err = host.StealPercent(t.ticks); err != nil {
		return err
	}
	t.m.InvalidBecause = append(t.m.InvalidBecause, gate.Check(facts)...)
	t.m.Valid = len(t.m.InvalidBecause) == 0
	return nil
}

// newHistory is empty, and made for what the answers are judged by.
func (t *trial) newHistory() *oracle.History {
	switch {
	case t.everyLine():
		return oracle.NewBoundedHistory(t.Partitions, t.Lateness).WithoutIDs()
	case t.bounded():
		return oracle.NewBoundedHistory(t.Partitions, t.Lateness)
	}
	return oracle.NewHistory(t.Partitions)
}

func (t *trial) engineAnnounced() []ledger.Announced {
	if t.engine == nil {
		return nil
	}
	return t.engine.announced // what added to it has ended
}

// judge holds the answers and the dumped views against the truth.
func (t *trial) judge(j judge.Judge) error {
	verdict, err := j.Reads(filepath.Join(t.dir, "answers.zst"))
	if err != nil {
		return err
	}
	defer func() {
		t.m.Divergence, t.m.PolicyDivergence, t.m.DistinctError = verdict.Divergence, verdict.PolicyDivergence, verdict.DistinctError()
	}()
	if !t.seen.whole {
		return nil // it did not come to the dump
	}
	j.Finals(verdict, t.dumps()...)
	return nil
}

// dumps reads the dumped views, on all processors. One that cannot be read or
// does not have the rules that the scenario ends with makes the measurement invalid.
func (t *trial) dumps() []architecture.Answer {
	names := view.Names()
	answers, failed := make([]architecture.Answer, len(names)), make([]error, len(names))
	var g errgroup.Group
	for n, v := range names {
		g.Go(func() error {
			answers[n], failed[n] = t.dumped(v)
			return nil
		})
	}
	_ = g.Wait() // failures are by view
	var whole []architecture.Answer
	for n, v := range names {
		if failed[n] != nil {
			t.m.InvalidBecause = append(t.m.InvalidBecause, fmt.Sprintf("the dump of %s cannot be read: %v", v, failed[n]))
			continue
		}
		if want := t.finalRules(); answers[n].Rules != want {
			t.m.InvalidBecause = append(t.m.InvalidBecause, fmt.Sprintf("%s was dumped under rules %d, want %d", v, answers[n].Rules, want))
		}
		whole = append(whole, answers[n])
	}
	return whole
}

// finalRules are those that the scenario ends with.
func (t *trial) finalRules() view.Rules {
	if t.scenario == Reprocess {
		return newRules
	}
	return view.EveryLine
}

// loadFigures says what was sent, and how well.
func (t *trial) loadFigures(_ *ledger.Ledger, facts *gate.Facts) error {
	sent := t.loader.Sent()
	t.m.Load.Events = t.loader.Count()
	t.m.Load.Duplicates, t.m.Load.Late, t.m.Load.Poison = sent.Duplicate, sent.Late, sent.Poison
	live := t.seen.live
	if live == nil {
		return nil
	}
	t.m.Load.OfferedPerS, t.m.Load.AchievedPerS = t.rate, live.AchievedPerS()
	t.m.Load.GeneratorLagUS = live.Lag.Percentiles(live.Lag.TotalCount(), events)
	facts.Lag, facts.Offered, facts.Achieved = t.m.Load.GeneratorLagUS, t.rate, live.AchievedPerS()
	return t.writeHistogram("sends.hlog", live.Lag, live.StartUS, live.EndUS())
}

// freshness measures every event of the window.
func (t *trial) freshness(book *ledger.Ledger, facts *gate.Facts) error {
	w := t.seen.window
	if w == nil {
		return nil
	}
	f, err := book.Freshness(t.engineAnnounced(), *w, t.seen.endUS)
	if err != nil {
		return err
	}
	t.m.Window = &results.Window{FromUS: w.FromUS, ToUS: w.ToUS}
	t.m.FreshnessUS = f.Percentiles(f.Announcements, announcements)
	n := f.TotalCount()
	facts.Events, facts.Never = &n, f.Never
	return t.writeHistogram("freshness.hlog", f.Histogram, w.FromUS, w.ToUS)
}

// p99Within is the freshness of part of the window, nil where too few
// announcements support it.
func (t *trial) p99Within(book *ledger.Ledger, fromUS, toUS int64, what string) (*int64, error) {
	f, err := book.Freshness(t.engineAnnounced(), ledger.Window{FromUS: fromUS, ToUS: toUS}, t.seen.endUS)
	if err != nil {
		return nil, err
	}
	p := f.Percentiles(f.Announcements, announcements)
	if p.P99 == nil {
		t.note("no freshness p99 %s: too few announcements (%d)", what, f.Announcements)
	}
	return p.P99, nil
}

// readFigures works out answer time and age of the window's reads, of all reads
// where there is no window.
func (t *trial) readFigures(book *ledger.Ledger, facts *gate.Facts) error {
	age, answer, n := stats.New(), stats.New(), int64(0)
	w := ledger.Window{ToUS: 1<<63 - 1}
	facts.Scheduled = t.seen.asked
	if t.seen.window != nil {
		w = *t.seen.window
		facts.Scheduled = t.questions().Within(time.Duration(w.ToUS-w.FromUS) * time.Microsecond)
	}
	ages := book.Ages(w)
	var all []ledger.Reading
	var first, last int64
	err := readers.ReadSpool(filepath.Join(t.dir, "answers.zst"), func(e *readers.Entry) error {
		if e.Error != "" {
			return nil
		}
		a, err := serving.ParseAnswerHead(e.Body)
		if err != nil {
			return nil // judged as wrong already
		}
		all = append(all, ledger.Reading{SentUS: e.SentUS, ReceivedUS: e.ReceivedUS, Coverage: a.Coverage})
		if !w.Holds(e.SentUS) {
			return nil
		}
		n++
		if first == 0 {
			first = e.SentUS
		}
		first, last = min(first, e.SentUS), max(last, e.ReceivedUS)
		return errors.Join(answer.Record(e.ReceivedUS-e.SentUS), age.Record(ages.At(a.Coverage, e.ReceivedUS)))
	})
	if err != nil {
		return err
	}
	facts.Answered, facts.ReadsWentBack = n, ledger.ReadsWentBack(all)
	t.m.AnswerUS = answer.Percentiles(n, reads)
	if t.seen.window != nil {
		t.m.AgeUS = age.Percentiles(n, reads)
	}
	return t.writeHistogram("answers.hlog", answer, first, last)
}

// scenarioFigures are those that one scenario is about.
func (t *trial) scenarioFigures(book *ledger.Ledger, facts *gate.Facts) error {
	if len(t.m.InvalidBecause) > 0 { // it broke: there is no end to measure to
		return nil
	}
	switch t.scenario {
	case Steady:
		t.steadyFigures(facts)
	case Backfill:
		t.backfillFigures(book)
	case Reprocess:
		return t.reprocessFigures(book)
	}
	return nil
}

func (t *trial) steadyFigures(facts *gate.Facts) {
	before, after := t.seen.before, t.seen.after
	t.cost(before, after, t.m.FreshnessUS.Count)
	if t.url != "" {
		return // nobody says what its commits are
	}
	t.m.Batches = &results.Batches{Count: after.status.Commits - before.status.Commits}
	if facts.Lambda = t.name == lambda; facts.Lambda && after.status.Batch != nil && before.status.Batch != nil {
		t.m.Batches.Count = after.status.Batch.Runs - before.status.Batch.Runs
	}
	if n := t.m.Batches.Count; n > 0 {
		t.m.Batches.IntervalSeconds = t.seen.window.Seconds() / float64(n)
	}
	facts.Batches = &t.m.Batches.Count
}

// cost is what the process used from before to after, for so many events.
func (t *trial) cost(before, after mark, events int64) {
	if t.url != "" {
		return
	}
	cpu := after.usage.CPUSeconds - before.usage.CPUSeconds
	t.m.Cost = &results.Cost{CPUS: cpu, RSSPeakBytes: max(before.usage.RSSPeak, after.usage.RSSPeak), DiskBytes: after.usage.Disk}
	if read := after.status.BrokerReadBytes; read != nil {
		n := *read
		if already := before.status.BrokerReadBytes; already != nil {
			n -= *already
		}
		t.m.Cost.BrokerReadBytes = &n
	}
	if events > 0 {
		t.m.Cost.CPUSPerMillion = cpu / float64(events) * 1e6
	}
}

func (t *trial) backfillFigures(book *ledger.Ledger) {
	n := book.End().Sum()
	covered, _ := t.engine.first(covers(book.End())) // it came, or this would have broken
	seconds := float64(covered-t.clock.US(t.seen.began)) / 1e6
	t.m.Throughput = &results.Throughput{Events: n, Seconds: seconds, EventsPerS: float64(n) / seconds}
	if cpu := t.seen.after.usage.CPUSeconds; cpu > 0 {
		t.m.Throughput.EventsPerCPUS = float64(n) / cpu
	}
	t.cost(mark{}, t.seen.after, n)
}

func (t *trial) reprocessFigures(book *ledger.Ledger) (err error) {
	requested := t.clock.US(t.seen.requested)
	at, _ := t.engine.first(isSwitched) // it came, or this would have broken
	seconds := float64(at-requested) / 1e6
	r := &results.Reprocess{HistoryEvents: t.m.Load.History, Seconds: seconds, EventsPerS: float64(t.m.Load.History) / seconds}
	t.m.Reprocess = r
	if r.FreshnessP99BeforeUS, err = t.p99Within(book, t.seen.window.FromUS, requested, "before the reprocess"); err != nil {
		return err
	}
	if t.seen.window.ToUS < at {
		t.note("the live part ended before the switch: there is no freshness during the reprocess")
	} else if r.FreshnessP99DuringUS, err = t.p99Within(book, requested, at, "during the reprocess"); err != nil {
		return err
	}
	before, after := t.seen.before, t.seen.after
	t.cost(mark{}, after, book.End().Sum())
	if t.m.Cost == nil {
		return nil
	}
	t.m.Cost.RSSPeakBytes = max(before.usage.RSSPeak, after.usage.RSSPeak) // the peak was begun anew at the request
	end := t.seen.atSwitch.usage
	cpu, peak := end.CPUSeconds-before.usage.CPUSeconds, end.RSSPeak
	disk := slices.MaxFunc(append(slices.Clone(t.engine.samples), sample{requested, before.usage}, sample{at, end}), func(a, b sample) int {
		return int(a.within(requested, at) - b.within(requested, at))
	}).Disk
	r.CPUS, r.RSSPeakBytes, r.DiskBytes = &cpu, &peak, &disk
	return nil
}

// within is what the disk held if the sample was taken in that time, else 0.
func (s sample) within(fromUS, toUS int64) int64 {
	if s.atUS < fromUS || s.atUS > toUS {
		return 0
	}
	return s.Disk
}

func (t *trial) writeHistogram(name string, h stats.Histogram, fromUS, toUS int64) error {
	return hlog.Write(filepath.Join(t.dir, name), h.Histogram, time.UnixMicro(fromUS), time.UnixMicro(toUS))
}
