package disturb_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/common/event"
	"archbench/workloads"
	"archbench/workloads/disturb"
	"archbench/workloads/synthetic"
	"archbench/workloads/workloadtest"
)

const events = 60_000

func inner(t testing.TB, n int64) workloads.Source {
	t.Helper()
	p := synthetic.DefaultParams()
	p.Events = n
	s, err := synthetic.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func over(t testing.TB, s workloads.Source, p disturb.Params) workloads.Source {
	t.Helper()
	d, err := disturb.Over(s, p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// everything disturbs in every way.
func everything() disturb.Params {
	return disturb.Params{Seed: 1, Late: 0.05, Lateness: 5 * time.Minute, OutOfOrder: 0.1, Displacement: 50, Duplicates: 0.1, Poison: 0.02,
		LateProfiles: 0.5, Skew: 0.01, Schema2: true}
}

func all(t testing.TB, s workloads.Source) []workloads.Event {
	t.Helper()
	var out []workloads.Event
	for {
		var e workloads.Event
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if e.Index != int64(len(out)) {
			t.Fatalf("event %d says that it is %d", len(out), e.Index)
		}
		out = append(out, e)
	}
	if err := s.Next(&workloads.Event{}); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %v", err)
	}
	return out
}

func TestDeterminism(t *testing.T) {
	p := everything()
	first := all(t, over(t, inner(t, events), p))
	if !reflect.DeepEqual(first, all(t, over(t, inner(t, events), p))) {
		t.Error("the same seed gave other events")
	}
	p.Seed = 2
	if reflect.DeepEqual(first, all(t, over(t, inner(t, events), p))) {
		t.Error("another seed gave the same events")
	}
}

func TestOffIsTheInnerSource(t *testing.T) {
	s := inner(t, events)
	if got := over(t, s, disturb.Params{Seed: 9, Lateness: time.Minute, Displacement: 7}); got != s {
		t.Error("a source that nothing disturbs is wrapped")
	}
}

// Almost nothing may be disturbed, and then everything else stays as it is.
func TestUndisturbedEventsStayAsTheyAre(t *testing.T) {
	want := all(t, inner(t, events))
	got := all(t, over(t, inner(t, events), disturb.Params{Skew: math.SmallestNonzeroFloat64}))
	if !reflect.DeepEqual(want, got) {
		t.Error("the events are others")
	}
}

// identity is what an event is known by, whatever was done to it.
func identity(e *workloads.Event) string {
	if e.Topic == workloads.Customers {
		return fmt.Sprint(e.Change.CustomerID, e.Change.Segment, e.Change.Deleted, e.Change.ValidFromMS)
	}
	return e.Line.EventID
}

func TestNothingIsLost(t *testing.T) {
	for _, n := range []int64{1, 2, 700, events} {
		missing := map[string]int{}
		for _, e := range all(t, inner(t, n)) {
			missing[identity(&e)]++
		}
		keys := map[string]string{}
		var lines, duplicates, poison int64
		s := over(t, inner(t, n), everything())
		for _, e := range all(t, s) {
			if e.Poison {
				poison++
				continue
			}
			if e.Topic == workloads.Orders {
				lines++
				key := string(e.AppendKey(nil))
				if known, seen := keys[e.Line.EventID]; seen != e.Duplicate || seen && known != key {
					t.Fatalf("%s under key %s, first under %q; marked as a duplicate: %v", e.Line.EventID, key, known, e.Duplicate)
				}
				keys[e.Line.EventID] = key
			}
			if e.Duplicate {
				duplicates++
				continue
			}
			missing[identity(&e)]--
		}
		for id, count := range missing {
			if count != 0 {
				t.Errorf("of %d events: %s is missing %d times", n, id, count)
			}
		}
		if s.Lines() != lines || s.Events() != n+duplicates+poison {
			t.Errorf("of %d events: %d lines and %d events came, announced were %d and %d", n, lines, n+duplicates+poison, s.Lines(), s.Events())
		}
	}
}

func near(t *testing.T, what string, got, of int, share float64) {
	t.Helper()
	if s := float64(got) / float64(of); s < share*0.9 || s > share*1.1 {
		t.Errorf("%s: %d of %d, asked was a share of %v", what, got, of, share)
	}
}

func TestShares(t *testing.T) {
	p := everything()
	var before, lines, changes, late, lateChanges, duplicates, conflicts, poison, skewed int
	was := map[string]event.OrderLine{}
	for _, e := range all(t, inner(t, events)) {
		before++
		if e.Topic == workloads.Customers {
			changes++
		} else {
			lines++
			was[e.Line.EventID] = e.Line
		}
	}
	for _, e := range all(t, over(t, inner(t, events), p)) {
		first := was[e.Line.EventID]
		switch {
		case e.Poison:
			poison++
		case e.Topic == workloads.Customers:
			if e.Late {
				lateChanges++
			}
		case e.Duplicate:
			duplicates++
			if e.Line.Kind != first.Kind {
				conflicts++
			}
		case e.Late:
			late++
		case e.Line.EventTimeMS-first.EventTimeMS == (24 * time.Hour).Milliseconds():
			skewed++
		case e.Line.EventTimeMS != first.EventTimeMS:
			t.Fatalf("%+v has another time than %+v", e.Line, first)
		}
	}
	near(t, "late", late, lines, p.Late)
	near(t, "duplicates", duplicates, lines, p.Duplicates)
	near(t, "conflicts", conflicts, duplicates, 1./20)
	near(t, "poison", poison, before, p.Poison)
	near(t, "skewed", skewed, lines, p.Skew)
	if lateChanges < changes/8 || lateChanges > changes*5/8 { // those that are valid only after the end cannot be late
		t.Errorf("%d of %d profile changes are late", lateChanges, changes)
	}
}

// A late line lies behind what was sent before it, by its lateness.
func TestLateness(t *testing.T) {
	p := disturb.Params{Seed: 3, Late: 0.1, Lateness: 2 * time.Minute}
	var newest, n int64
	var sum time.Duration
	for _, e := range all(t, over(t, inner(t, events), p)) {
		if e.Topic == workloads.Customers {
			continue
		}
		behind := newest - e.Line.EventTimeMS
		if e.Late != (behind > 0) {
			t.Fatalf("%s lies %d ms behind, late: %v", e.Line.EventID, behind, e.Late)
		}
		if e.Late {
			n, sum = n+1, sum+time.Duration(behind)*time.Millisecond
		}
		newest = max(newest, e.Line.EventTimeMS)
	}
	if mean := sum / time.Duration(n); mean < 100*time.Second || mean > 140*time.Second {
		t.Errorf("the mean lateness is %v, asked was %v", mean, p.Lateness)
	}
}

func TestLateProfilesComeAfterTheyAreValid(t *testing.T) {
	p := disturb.Params{Seed: 3, LateProfiles: 1, Lateness: time.Minute}
	newest, late := int64(0), 0
	for _, e := range all(t, over(t, inner(t, events), p)) {
		if e.Topic == workloads.Orders {
			newest = e.Line.EventTimeMS
			continue
		}
		if e.Late != (e.Change.ValidFromMS < newest) {
			t.Fatalf("valid from %d at %d, late: %v", e.Change.ValidFromMS, newest, e.Late)
		}
		if e.Late {
			late++
		}
	}
	if late < 100 {
		t.Errorf("only %d are late", late)
	}
}

func TestDisorderIsBounded(t *testing.T) {
	p := disturb.Params{Seed: 5, OutOfOrder: 0.2, Displacement: 30}
	place := map[string]int{}
	for i, e := range all(t, inner(t, events)) {
		place[identity(&e)] = i
	}
	passed, newest := 0, 0
	for i, e := range all(t, over(t, inner(t, events), p)) {
		was := place[identity(&e)]
		if d := i - was; d > 30 || d < -30 {
			t.Fatalf("%s is displaced by %d", identity(&e), d)
		}
		if was < newest {
			passed++
		}
		newest = max(newest, was)
		if e.Late {
			t.Fatal("disorder is no lateness")
		}
	}
	near(t, "out of order", passed, events, 0.2)
}

func TestSchema2FromHalfWay(t *testing.T) {
	versions := func(s workloads.Source, n int) (v []int) {
		for range n {
			var e workloads.Event
			if err := s.Next(&e); err != nil {
				t.Fatal(err)
			}
			if (e.Line.Channel != "") != (e.Line.Version == 2) {
				t.Fatalf("%+v", e.Line)
			}
			v = append(v, max(e.Line.Version, e.Change.Version))
		}
		return v
	}
	for name, v := range map[string][]int{
		"half of a source with an end": versions(over(t, inner(t, 2000), disturb.Params{Schema2: true}), 2000),
		"an event of one without":      versions(over(t, inner(t, 0), disturb.Params{Schema2: true, HalfWay: 1000}), 2000),
	} {
		for i := range v {
			if want := 1 + i/1000; v[i] != want {
				t.Fatalf("%s: event %d has version %d", name, i, v[i])
			}
		}
	}
}

// The truth counts as many duplicates, conflicts and unusable records as were made.
func TestTheOracleAgrees(t *testing.T) {
	count := map[string]int64{}
	kinds := map[string]event.Kind{}
	h := workloadtest.History(t, over(t, inner(t, events), everything()), 4, func(e *workloads.Event) bool {
		switch {
		case e.Poison:
			count["poison"]++
		case e.Topic == workloads.Customers:
			count["changes"]++
		case e.Duplicate:
			count["duplicates"]++
			if kinds[e.Line.EventID] != e.Line.Kind {
				count["conflicts"]++
			}
		default:
			count["lines"]++
			kinds[e.Line.EventID] = e.Line.Kind
		}
		return true
	})
	c, err := h.Counts(h.End())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{"poison": c.Unusable, "changes": c.Changes, "duplicates": c.Duplicate, "conflicts": c.Conflict, "lines": c.Lines}
	if d := cmp.Diff(count, got); d != "" {
		t.Error(d)
	}
	if count["conflicts"] == 0 || count["poison"] == 0 {
		t.Errorf("%v", count)
	}
}

// The real data sends all profile changes first; late ones come among the lines.
func TestRealData(t *testing.T) {
	s := over(t, workloadtest.Open(t), everything())
	var lines, n, lateChanges int64
	var e workloads.Event
	for s.Next(&e) == nil {
		n++
		if !e.Poison && e.Topic == workloads.Orders {
			lines++
		}
		if e.Topic == workloads.Customers && e.Late && lines > 100 {
			lateChanges++
		}
	}
	if lines != s.Lines() || n != s.Events() || lateChanges < 100 {
		t.Errorf("%d lines of %d, %d events of %d, %d late changes", lines, s.Lines(), n, s.Events(), lateChanges)
	}
}

// Lateness beyond all bounds holds back a bounded number of events, and loses none.
func TestMemoryIsBounded(t *testing.T) {
	const bound, n = 1 << 16, 200_000
	s := over(t, inner(t, 0), disturb.Params{Late: 0.9, Lateness: 1000 * 24 * time.Hour})
	var newest, came int64
	for range n {
		var e workloads.Event
		if err := s.Next(&e); err != nil {
			t.Fatal(err)
		}
		if e.Topic == workloads.Orders && !e.Late {
			newest = max(newest, e.Line.EventTimeMS)
		}
		if e.Late {
			came++
		}
	}
	read := (newest - time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) / 30 // an event each 30 ms
	if held := read - n; held > bound || came == 0 {
		t.Errorf("%d events are held back, %d late ones came", held, came)
	}
	if got := len(all(t, over(t, inner(t, n), disturb.Params{Late: 0.9, Lateness: 1000 * 24 * time.Hour}))); got != n {
		t.Errorf("%d events of %d", got, n)
	}
}

func TestBadParametersAreRefused(t *testing.T) {
	for _, c := range []struct {
		change func(*disturb.Params)
		says   string
	}{
		{func(p *disturb.Params) { p.Late = 1.5 }, "disturb.late is 1.5"},
		{func(p *disturb.Params) { p.Poison = -0.1 }, "disturb.poison"},
		{func(p *disturb.Params) { p.Duplicates = math.NaN() }, "disturb.duplicates is NaN"},
		{func(p *disturb.Params) { p.Late, p.OutOfOrder, p.Skew = 0.4, 0.4, 0.4 }, "more than 1 together"},
		{func(p *disturb.Params) { p.Late, p.OutOfOrder, p.Skew = 0.5, 0, 0.5 }, "no line on time"},
		{func(p *disturb.Params) { p.Lateness = 0 }, "disturb.lateness"},
		{func(p *disturb.Params) { p.Displacement = 0 }, "disturb.displacement"},
		{func(p *disturb.Params) { p.Displacement = 1 << 40 }, "at most"},
		{func(p *disturb.Params) { *p = disturb.Params{Lateness: -1} }, "must not be negative"},
	} {
		p := everything()
		c.change(&p)
		if _, err := disturb.Over(inner(t, 1), p); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
}

func TestDescription(t *testing.T) {
	s := inner(t, events)
	was := len(s.Describe().Parameters)
	d := over(t, s, everything()).Describe()
	for key, want := range map[string]string{
		"disturb.seed": "1", "disturb.late": "0.05", "disturb.lateness": "5m0s", "disturb.out_of_order": "0.1", "disturb.displacement": "50",
		"disturb.duplicates": "0.1", "disturb.poison": "0.02", "disturb.late_profiles": "0.5", "disturb.skew": "0.01", "disturb.schema2": "from event " + strconv.Itoa(events/2),
		"events": strconv.Itoa(events),
	} {
		if d.Parameters[key] != want {
			t.Errorf("%s is %q, want %q", key, d.Parameters[key], want)
		}
	}
	if d.ID != "synthetic" || len(s.Describe().Parameters) != was {
		t.Errorf("%+v", d)
	}
}

// failing breaks after some events.
type failing struct {
	workloads.Source
	after int
}

var errDamaged = errors.New("line 7 is damaged")

func (f *failing) Next(e *workloads.Event) error {
	if f.after--; f.after < 0 {
		return errDamaged
	}
	return f.Source.Next(e)
}

func TestAnErrorOfTheInnerSourceComesOut(t *testing.T) {
	s := over(t, &failing{inner(t, events), 500}, everything())
	var err error
	for err == nil {
		err = s.Next(&workloads.Event{})
	}
	if !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}

func BenchmarkEvent(b *testing.B) {
	for name, p := range map[string]disturb.Params{"off": {}, "everything": everything()} {
		b.Run(name, func(b *testing.B) {
			s := over(b, inner(b, 0), p)
			var e workloads.Event
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Next(&e); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
