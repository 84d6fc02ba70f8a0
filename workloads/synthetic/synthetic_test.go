package synthetic_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/common/event"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

func source(t testing.TB, change func(*synthetic.Params)) *synthetic.Source {
	t.Helper()
	p := synthetic.DefaultParams()
	if change != nil {
		change(&p)
	}
	s, err := synthetic.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A released version makes the same events for ever.
func TestFingerprint(t *testing.T) {
	const want = "9ce29602042a1a7ade8980ea7416210c03033be45f0307402f4e89d1039731ae"
	s, h := source(t, nil), sha256.New()
	var e workloads.Event
	for range 50_000 {
		if err := s.Next(&e); err != nil {
			t.Fatal(err)
		}
		h.Write(e.AppendKey(nil))
		h.Write(e.AppendValue(nil, 0))
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("version %d makes %s, it was released with %s: a change of the events is a new version", synthetic.Version, got, want)
	}
}

func TestAddressable(t *testing.T) {
	a, b := source(t, nil), source(t, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	var inOrder, direct workloads.Event
	for i := range int64(5000) {
		if err := a.Next(&inOrder); err != nil {
			t.Fatal(err)
		}
		b.At(rng.Int64N(1_000_000), &direct) // asking for others changes nothing
		b.At(i, &direct)
		if d := cmp.Diff(inOrder, direct); d != "" {
			t.Fatal(d)
		}
	}
	other := source(t, func(p *synthetic.Params) { p.Seed = 2 })
	other.At(1, &direct)
	a.At(1, &inOrder)
	if cmp.Equal(inOrder, direct) {
		t.Error("the seed changes nothing")
	}
}

// The mix is that of a shop, and every event is usable with an id of its own.
func TestMix(t *testing.T) {
	const n = 200_000
	s, d := source(t, func(p *synthetic.Params) { p.Events = n }), event.NewDecoder()
	ids, customers := map[string]bool{}, map[int64]int{}
	var guests, abroad, cancelled, adjusted, changes, lines int
	var e workloads.Event
	for s.Next(&e) == nil {
		if e.Topic == workloads.Customers {
			changes++
			var c event.ProfileChange
			if err := d.Profile(e.AppendValue(nil, 1), &c); err != nil {
				t.Fatal(err)
			}
			continue
		}
		lines++
		var l event.OrderLine
		if err := d.Order(e.AppendValue(nil, 1), &l); err != nil {
			t.Fatal(err)
		}
		if ids[l.EventID] {
			t.Fatalf("id %s twice", l.EventID)
		}
		ids[l.EventID] = true
		customers[l.CustomerID]++
		if l.CustomerID == 0 {
			guests++
		}
		if l.Country != "United Kingdom" {
			abroad++
		}
		switch l.Kind {
		case event.Cancellation:
			cancelled++
		case event.Adjustment:
			adjusted++
		}
	}
	if int64(lines) != s.Lines() || changes != n/200 {
		t.Errorf("%d lines, %d announced; %d changes", lines, s.Lines(), changes)
	}
	for name, share := range map[string][3]int{"guests": {guests, 23, 27}, "abroad": {abroad, 7, 11}, "cancelled": {cancelled, 1, 3}} {
		if p := share[0] * 100 / lines; p < share[1] || p > share[2] {
			t.Errorf("%s are %d %% of the lines", name, p)
		}
	}
	if adjusted == 0 || len(customers) < 10_000 || customers[10_000] < 20*customers[25_000] {
		t.Errorf("%d adjustments, %d customers, the first has %d lines, a late one %d", adjusted, len(customers), customers[10_000], customers[25_000])
	}
}

func BenchmarkEvent(b *testing.B) {
	s := source(b, nil)
	var e workloads.Event
	var value []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Next(&e); err != nil {
			b.Fatal(err)
		}
		value = e.AppendValue(value[:0], 1)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
