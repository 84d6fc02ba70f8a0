package stream_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/stream"
	"archbench/common/view"
)

// feed adds records to one of the partition's states, chosen by split, as an architecture would.
func feed(placed []oracletest.Placed, partitions int, split func(partition int) *stream.State) {
	d := event.NewDecoder()
	seen := make([]*stream.Seen, partitions)
	for i := range seen {
		seen[i] = stream.NewSeen()
	}
	for _, r := range placed {
		var l event.OrderLine
		var c event.ProfileChange
		switch {
		case r.Customers:
			if d.Profile(r.Value, &c) == nil {
				split(r.Partition).AddProfile(&c, r.Offset)
			}
		case d.Order(r.Value, &l) == nil && seen[r.Partition].Claim(&l) == stream.First:
			split(r.Partition).AddLine(&l)
		}
	}
}

// answer asks all states together.
func answer(t testing.TB, p view.Params, q view.Query, states []*stream.State) []view.Row {
	rows, err := stream.Latest(p, q, func(q view.Query) ([]view.Row, stream.Times, error) {
		var customers stream.Customers
		if stream.NeedsCustomers(q) {
			customers = stream.Customers{}
			for _, s := range states {
				s.AddCustomers(q, customers)
			}
		}
		var known stream.Times
		var cuts []*stream.Cut
		for _, s := range states {
			cuts = append(cuts, s.Cut(q, customers))
			known.Merge(s.Times())
		}
		return stream.Finish(p, q, cuts...), known, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Oracle and kernel agree on random histories, however the lines are split among
// states, and a state rebuilt from its rows or its changes is the same state.
func TestKernelAgreesWithOracle(t *testing.T) {
	histories := 3000
	if testing.Short() {
		histories = 300
	}
	for seed := range histories {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		partitions := 1 + rng.IntN(3)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(1+rng.IntN(120)), partitions)
		p, r := oracletest.Params(rng), view.AllRules()[rng.IntN(2)]
		h := oracletest.History(placed, partitions)

		states := make([]*stream.State, 1+rng.IntN(4))
		stored := make([]map[string]view.Row, len(states))
		for i := range states {
			states[i], stored[i] = stream.NewState(p, r), map[string]view.Row{}
			states[i].Track()
		}
		commits := 0
		feed(placed, partitions, func(int) *stream.State {
			if rng.IntN(10) == 0 {
				commits++
				for i, s := range states {
					store(t, s, stored[i])
				}
			}
			return states[rng.IntN(len(states))]
		})
		for i, s := range states {
			store(t, s, stored[i])
		}
		for range 4 {
			q := oracletest.Query(rng)
			want, err := h.Answer(h.End(), r, p, q)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, seed, "split among states", p, q, want, answer(t, p, q, states))
			compare(t, seed, "rebuilt from changes", p, q, want, answer(t, p, q, rebuild(p, r, stored)))
		}
	}
}

// store keeps changes as a key–value store would.
func store(t testing.TB, s *stream.State, into map[string]view.Row) {
	key := func(kind view.Partial, r view.Row) string {
		k := string(kind) + "|"
		schema := kind.Schema()
		num := 0
		for _, c := range schema.Columns[:schema.Keys] {
			if c.Text {
				k += r.Text + "|"
				continue
			}
			k += fmt.Sprint(r.Num[num]) + "|"
			num++
		}
		return k
	}
	s.TakeChanges(
		func(kind view.Partial, r view.Row) { into[key(kind, r)] = r },
		func(kind view.Partial, r view.Row) { delete(into, key(kind, r)) })
	n := 0
	for _, kind := range view.Partials() {
		for r := range s.Rows(kind) {
			n++
			if got := into[key(kind, r)]; got != r {
				t.Fatalf("%s: stored %v, is %v", kind, got, r)
			}
		}
	}
	if n != len(into) || n != s.Len() {
		t.Fatalf("%d rows in the state, %d by Len, %d stored", n, s.Len(), len(into))
	}
}

func rebuild(p view.Params, r view.Rules, stored []map[string]view.Row) []*stream.State {
	var states []*stream.State
	for _, rows := range stored {
		s := stream.NewState(p, r)
		for k, row := range rows {
			for _, kind := range view.Partials() {
				if len(k) > len(kind) && k[:len(kind)+1] == string(kind)+"|" {
					s.MergeRow(kind, row)
				}
			}
		}
		states = append(states, s)
	}
	return states
}

func compare(t *testing.T, seed int, what string, p view.Params, q view.Query, want, got []view.Row) {
	t.Helper()
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("seed %d, %s, params %+v, query %s: (-oracle +kernel)\n%s", seed, what, p, describe(q), d)
	}
}

func describe(q view.Query) string {
	bound := func(b *int64) string {
		if b == nil {
			return "none"
		}
		return fmt.Sprint(*b)
	}
	return fmt.Sprintf("%s from %s to %s last %d limit %d", q.View, bound(q.From), bound(q.To), q.Last, q.Limit)
}

func TestClaim(t *testing.T) {
	s := stream.NewSeen()
	s.Track()
	l := event.OrderLine{EventID: "1", Kind: event.Sale, Country: "F", StockCode: "1", Quantity: 1, UnitPriceMilli: 1, EventTimeMS: 1}
	again := l
	again.EmittedUS, again.Version = 5, 2
	other := l
	other.Quantity = 2
	for i, c := range []struct {
		line *event.OrderLine
		want stream.Claim
	}{{&l, stream.First}, {&again, stream.Duplicate}, {&other, stream.Conflict}, {&l, stream.Duplicate}} {
		if got := s.Claim(c.line); got != c.want {
			t.Errorf("claim %d: %d, want %d", i, got, c.want)
		}
	}
	restored := stream.NewSeen()
	s.TakeChanges(restored.Restore)
	if restored.Claim(&l) != stream.Duplicate || restored.Claim(&other) != stream.Conflict || restored.Len() != 1 {
		t.Error("a restored set forgot")
	}
}

func BenchmarkAddLine(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	lines := make([]event.OrderLine, 1<<16)
	for i := range lines {
		lines[i] = event.OrderLine{EventID: fmt.Sprintf("%d-%d", i/5, i), Kind: event.Sale, CustomerID: int64(rng.IntN(4000)), Country: "United Kingdom",
			StockCode: fmt.Sprint(rng.IntN(3000)), Quantity: 3, UnitPriceMilli: 1000, EventTimeMS: 1740000000000 + int64(i)*30}
	}
	s, seen := stream.NewState(view.DefaultParams(), view.MerchandiseOnly), stream.NewSeen()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l := &lines[i%len(lines)]
		l.EventTimeMS += int64(i/len(lines)) * 1000
		seen.Claim(l)
		s.AddLine(l)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
