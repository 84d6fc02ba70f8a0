package load_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"archbench/bench/clock"
	"archbench/bench/load"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

const partitions = 4

func source(t testing.TB, events int64) workloads.Source {
	t.Helper()
	p := synthetic.DefaultParams()
	p.Events = events
	s, err := synthetic.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func topics(t testing.TB) (*memlog.Log, eventlog.Topics) {
	t.Helper()
	l, names := memlog.New(), eventlog.TopicsOf("t")
	t.Cleanup(func() { l.Close() })
	if err := l.Create(context.Background(), partitions, names.All()...); err != nil {
		t.Fatal(err)
	}
	return l, names
}

// orders reads what a partition of orders holds.
func orders(t testing.TB, l *memlog.Log, topic string, p int) (values [][]byte) {
	t.Helper()
	_, end, err := l.Bounds(t.Context(), topic, p)
	if err != nil {
		t.Fatal(err)
	}
	for o := range end {
		r, err := l.Fetch(t.Context(), topic, p, o)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, r.Value)
	}
	return values
}

// The intended times are a pure function of the number, and every record is
// stamped with its own.
func TestScheduleAndStamps(t *testing.T) {
	log, names := topics(t)
	c := clock.New()
	l := load.New(log, names, partitions, source(t, 2000), c)
	if n, err := l.History(t.Context(), 500); err != nil || n != 500 {
		t.Fatalf("%d events, %v", n, err)
	}
	start := time.Now().Add(20 * time.Millisecond)
	live, err := l.Live(t.Context(), start, 10_000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if live.Events != 1000 || live.Lag.TotalCount() != 1000 || l.Count() != 1500 || l.Ended() {
		t.Errorf("live %d, lags %d, count %d, ended %v", live.Events, live.Lag.TotalCount(), l.Count(), l.Ended())
	}
	schedule := load.Schedule{StartUS: c.US(start), Rate: 10_000}
	decoder, seen := event.NewDecoder(), 0
	for p := range partitions {
		values := orders(t, log, names.Orders, p)
		sent := l.Sent().Orders[p]
		if len(values) != len(sent) {
			t.Fatalf("partition %d holds %d records, %d were sent", p, len(values), len(sent))
		}
		for o, v := range values {
			var line event.OrderLine
			if err := decoder.Order(v, &line); err != nil {
				t.Fatal(err)
			}
			if line.EmittedUS != sent[o].IntendedUS || load.Hash(v) != sent[o].Hash {
				t.Fatalf("partition %d offset %d: stamped %d, sent %+v", p, o, line.EmittedUS, sent[o])
			}
			if i := sent[o].Index - 500; i >= 0 && line.EmittedUS != schedule.Intended(i) {
				t.Fatalf("event %d of the live part is stamped %d, due %d", i, line.EmittedUS, schedule.Intended(i))
			}
			seen++
		}
	}
	if seen < 1400 {
		t.Errorf("only %d order lines", seen)
	}
	if got := load.Schedule.Intended(load.Schedule{StartUS: 1_000_000, Rate: 2000}, 4001); got != 3_000_500 {
		t.Errorf("event 4001 at 2,000/s is due at %d, want 3000500", got)
	}
}

// slow is a log whose writes of one topic wait until they are let go.
type slow struct {
	eventlog.Log
	hold chan struct{}
	mu   sync.Mutex
	once bool
}

func (s *slow) Append(ctx context.Context, topic string, records ...eventlog.Record) error {
	s.mu.Lock()
	first := !s.once
	s.once = true
	s.mu.Unlock()
	if first {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Log.Append(ctx, topic, records...)
}

// A log that stands still does not move the schedule: what was due meanwhile is
// late, and the lag and the rate achieved say so.
func TestLagIsMeasured(t *testing.T) {
	log, names := topics(t)
	held := &slow{Log: log, hold: make(chan struct{})}
	l := load.New(held, names, partitions, source(t, 0), clock.New())
	start := time.Now()
	const stall = 300 * time.Millisecond
	time.AfterFunc(stall, func() { close(held.hold) })
	live, err := l.Live(t.Context(), start, 5000, 500) // due within 100 ms
	if err != nil {
		t.Fatal(err)
	}
	if most := live.Lag.Max(); most < (stall - 100*time.Millisecond).Microseconds() {
		t.Errorf("the greatest lag is %d µs although the log stood still for %v", most, stall)
	}
	if live.AchievedPerS() > 0.9*5000 {
		t.Errorf("%.0f/s of 5000/s achieved although the log stood still", live.AchievedPerS())
	}
	if live.EndUS() != live.StartUS+100_000 {
		t.Errorf("the schedule ended %d µs after its start, want 100000", live.EndUS()-live.StartUS)
	}
}

func TestAchievedOnSchedule(t *testing.T) {
	live := load.Live{Schedule: load.Schedule{StartUS: 0, Rate: 1000}, Events: 1000, LastUS: 999_000}
	if got := live.AchievedPerS(); got != 1000 {
		t.Errorf("%f/s", got)
	}
	live.LastUS = 1_999_000
	if got := live.AchievedPerS(); got != 500 {
		t.Errorf("a second late: %f/s, want 500", got)
	}
}

func TestTheEndOfTheSourceEndsTheLivePart(t *testing.T) {
	log, names := topics(t)
	l := load.New(log, names, partitions, source(t, 300), clock.New())
	if n, err := l.History(t.Context(), 100); err != nil || n != 100 {
		t.Fatal(n, err)
	}
	live, err := l.Live(t.Context(), time.Now(), 100_000, 1_000_000)
	if err != nil || live.Events != 200 || !l.Ended() {
		t.Errorf("%d live events, ended %v, %v", live.Events, l.Ended(), err)
	}
	if n, err := l.History(t.Context(), -1); err != nil || n != 0 {
		t.Errorf("%d more, %v", n, err)
	}
}

// failing is a source that breaks, or a log that does.
type failing struct {
	workloads.Source
	after int
}

var errBroken = errors.New("line 7 is damaged")

func (f *failing) Next(e *workloads.Event) error {
	if f.after--; f.after < 0 {
		return errBroken
	}
	return f.Source.Next(e)
}

type refusing struct{ eventlog.Log }

func (refusing) Append(context.Context, string, ...eventlog.Record) error { return io.ErrClosedPipe }

func TestFailuresAreReported(t *testing.T) {
	log, names := topics(t)
	broken := func() *load.Loader { return load.New(log, names, partitions, &failing{source(t, 0), 50}, clock.New()) }
	if _, err := broken().History(t.Context(), -1); !errors.Is(err, errBroken) {
		t.Errorf("history: %v", err)
	}
	if _, err := broken().Live(t.Context(), time.Now(), 1e6, 1000); !errors.Is(err, errBroken) {
		t.Errorf("live: %v", err)
	}
	refused := func() *load.Loader {
		return load.New(refusing{log}, names, partitions, source(t, 0), clock.New())
	}
	if _, err := refused().History(t.Context(), 100_000); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("history: %v", err)
	}
	if _, err := refused().Live(t.Context(), time.Now(), 1e5, 1_000_000_000); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("live: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := load.New(log, names, partitions, source(t, 0), clock.New()).Live(ctx, time.Now(), 1000, 1_000_000_000); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// marked yields disturbed events.
type marked struct{ n int64 }

func (m *marked) Next(e *workloads.Event) error {
	if m.n == 12 {
		return io.EOF
	}
	*e = workloads.Event{Index: m.n, Raw: []byte("x" + strconv.FormatInt(m.n, 10)), RawKey: []byte("k"), Late: m.n%2 == 0, Duplicate: m.n%3 == 0, Poison: m.n%4 == 0}
	m.n++
	return nil
}
func (*marked) Lines() int64                    { return 12 }
func (*marked) Events() int64                   { return 12 }
func (*marked) Describe() workloads.Description { return workloads.Description{} }
func (*marked) Close() error                    { return nil }

func TestDisturbancesAreCounted(t *testing.T) {
	log, names := topics(t)
	l := load.New(log, names, partitions, &marked{}, clock.New())
	if _, err := l.History(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	if s := l.Sent(); s.Late != 6 || s.Duplicate != 4 || s.Poison != 3 {
		t.Errorf("late %d duplicate %d poison %d, want 6, 4, 3", s.Late, s.Duplicate, s.Poison)
	}
	var all []string
	for p := range partitions {
		for _, v := range orders(t, log, names.Orders, p) {
			all = append(all, string(v))
		}
	}
	if len(all) != 12 || !strings.HasPrefix(all[0], "x") {
		t.Errorf("records %v", all)
	}
}

// nulls yields values that are there and empty.
type nulls struct{ marked }

func (n *nulls) Next(e *workloads.Event) error {
	err := n.marked.Next(e)
	e.Raw = []byte{}
	return err
}

// appended keeps what is appended.
type appended struct {
	eventlog.Log
	records []eventlog.Record
}

func (a *appended) Append(_ context.Context, _ string, records ...eventlog.Record) error {
	a.records = append(a.records, records...)
	return nil
}

func TestAnEmptyValueIsSentAsNull(t *testing.T) {
	_, names := topics(t)
	log := &appended{}
	if _, err := load.New(log, names, partitions, &nulls{}, clock.New()).History(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	for _, r := range log.records {
		if r.Value != nil || string(r.Key) != "k" {
			t.Errorf("key %q value %q", r.Key, r.Value)
		}
	}
	if len(log.records) != 12 {
		t.Errorf("%d records", len(log.records))
	}
}

// BenchmarkLive shows what the generator costs at 50,000/s: seconds of processor
// time per second of schedule, of which the whole harness may take one.
func BenchmarkLive(b *testing.B) {
	for b.Loop() {
		log, names := topics(b)
		l := load.New(log, names, partitions, source(b, 0), clock.New())
		began := cpu()
		live, err := l.Live(b.Context(), time.Now(), 50_000, 50_000)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((cpu() - began).Seconds(), "cpu-s/s")
		b.ReportMetric(1, "cpu-s/s-ceiling")
		b.ReportMetric(float64(live.Lag.ValueAtQuantile(99)), "lag-p99-µs")
		b.ReportMetric(live.AchievedPerS(), "events/s")
	}
}

func BenchmarkHistory(b *testing.B) {
	log, names := topics(b)
	l := load.New(log, names, partitions, source(b, 0), clock.New())
	b.ReportAllocs()
	if _, err := l.History(b.Context(), int64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
