package stream_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/stream"
	"archbench/common/view"
)

// kept is a partition under policy bounded with a store beside it, as Kappa has.
type kept struct {
	params   view.Params
	rules    view.Rules
	lateness time.Duration

	state *stream.State
	seen  *stream.Seen
	rows  map[view.Partial]map[string]view.Row
	ids   map[uint64]map[xxh3.Uint128]stream.ID // by epoch
}

func newKept(p view.Params, r view.Rules, lateness time.Duration) *kept {
	k := &kept{params: p, rules: r, lateness: lateness, rows: map[view.Partial]map[string]view.Row{}, ids: map[uint64]map[xxh3.Uint128]stream.ID{}}
	for _, kind := range view.BoundedPartials() {
		k.rows[kind] = map[string]view.Row{}
	}
	k.begin()
	return k
}

func (k *kept) begin() {
	k.state, k.seen = stream.NewBoundedState(k.params, k.rules, stream.NewProfiles()), stream.NewBoundedSeen(k.lateness)
}

func (k *kept) add(r oracletest.Placed, d *event.Decoder) {
	var l event.OrderLine
	var c event.ProfileChange
	switch {
	case r.Customers:
		if d.Profile(r.Value, &c) == nil {
			k.state.AddProfile(&c, r.Offset)
		}
	case d.Order(r.Value, &l) == nil && k.seen.Claim(&l) == stream.First:
		k.state.AddLine(&l)
	}
}

// commit writes what changed, and then lets go of what is closed.
func (k *kept) commit() {
	key := func(kind view.Partial, r view.Row) string {
		return fmt.Sprint(r.Num[:kind.Schema().Keys-textKeys(kind)], r.Text)
	}
	k.state.TakeChanges(
		func(kind view.Partial, r view.Row) { k.rows[kind][key(kind, r)] = r },
		func(kind view.Partial, r view.Row) { delete(k.rows[kind], key(kind, r)) })
	oldest := k.seen.TakeChanges(func(id stream.ID) {
		if k.ids[id.Epoch] == nil {
			k.ids[id.Epoch] = map[xxh3.Uint128]stream.ID{}
		}
		k.ids[id.Epoch][id.Hash] = id
	})
	for epoch := range k.ids {
		if epoch < oldest {
			delete(k.ids, epoch)
		}
	}
	k.state.Forget(k.seen.Horizon())
}

func textKeys(kind view.Partial) (n int) {
	s := kind.Schema()
	for _, c := range s.Columns[:s.Keys] {
		if c.Text {
			n++
		}
	}
	return n
}

// restart loses what is in memory and loads the rest, rows that are closed excepted.
func (k *kept) restart() {
	watermark := k.seen.Watermark()
	known := k.state.Times()
	k.begin()
	k.seen.RestoreWatermark(watermark)
	closed := stream.ClosedAt(k.params, k.seen.Horizon())
	for kind, rows := range k.rows {
		for _, r := range rows {
			if !closed.Holds(kind, &r) {
				k.state.MergeRow(kind, r)
			}
		}
	}
	if known.Any {
		k.state.RestoreTimes(known.Earliest, watermark)
	}
	k.state.Track()
	k.state.Forget(k.seen.Horizon())
	epochs := []uint64{}
	for epoch := range k.ids {
		epochs = append(epochs, epoch)
	}
	slices.Sort(epochs)
	for _, epoch := range epochs {
		for _, id := range k.ids[epoch] {
			k.seen.Restore(id)
		}
	}
	k.seen.Track()
}

// cut is of the state and of the closed rows in the store.
func (k *kept) cut(q view.Query) *stream.Cut {
	var customers stream.Customers
	if stream.NeedsCustomers(q) {
		customers = stream.Customers{}
		k.state.AddCustomers(q, customers)
	}
	cut, closed, kind := k.state.Cut(q, customers), k.state.Closed(), q.View.BoundedPartial()
	from, to := closed.Span(q)
	for _, r := range k.rows[kind] {
		if at := r.Num[kind.Schema().NumIndex(kind.Schema().Window)]; at >= from && at < to && closed.Holds(kind, &r) {
			cut.Add(r)
		}
	}
	return cut
}

func askKept(t *testing.T, p view.Params, q view.Query, partitions []*kept) []view.Row {
	t.Helper()
	rows, err := stream.Latest(p, q, func(q view.Query) ([]view.Row, stream.Times, error) {
		var cuts []*stream.Cut
		var known stream.Times
		for _, k := range partitions {
			cuts = append(cuts, k.cut(q))
			known.Merge(k.state.Times())
		}
		return stream.Finish(p, q, cuts...), known, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// compareBounded compares all but what depends on timing: of revenue_by_segment
// the guests and the totals of each window.
func compareBounded(t *testing.T, seed int, what string, p view.Params, q view.Query, want, got []view.Row) {
	t.Helper()
	if q.View == view.RevenueBySegment {
		if q.Limit > 0 {
			return // where it cuts depends on the segments that there are
		}
		want, got = totals(want), totals(got)
	}
	compare(t, seed, what, p, q, want, got)
}

func totals(rows []view.Row) (out []view.Row) {
	sums := map[string]view.Row{}
	for _, r := range rows {
		key := fmt.Sprint(r.Num[0], r.Text == "guest")
		s := sums[key]
		if r.Text == "guest" {
			s.Text = r.Text
		}
		s.Num = [view.MaxNums]int64{r.Num[0], s.Num[1] + r.Num[1], s.Num[2] + r.Num[2]}
		sums[key] = s
	}
	for _, r := range sums {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b view.Row) int { return cmp.Or(cmp.Compare(a.Num[0], b.Num[0]), cmp.Compare(a.Text, b.Text)) })
	return out
}

// Oracle and kernel agree under policy bounded at any time, with commits that let
// closed rows go and restarts that do not load them.
func TestBoundedKernelAgreesWithOracle(t *testing.T) {
	forgotten := 0
	histories(t, func(t *testing.T, seed int, rng *rand.Rand) {
		partitions, lateness := 1+rng.IntN(3), oracletest.Lateness(rng)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(1+rng.IntN(150)), partitions)
		p, r := oracletest.Params(rng), view.AllRules()[rng.IntN(2)]
		d := event.NewDecoder()
		var ks []*kept
		for range partitions {
			ks = append(ks, newKept(p, r, lateness))
			ks[len(ks)-1].restart()
		}
		check := func(n int) {
			h := oracletest.BoundedHistory(placed[:n], partitions, lateness)
			for range 3 {
				q := oracletest.Query(rng)
				want, err := h.BoundedAnswer(h.End(), nil, r, p, q)
				if err != nil {
					t.Fatal(err)
				}
				compareBounded(t, seed, fmt.Sprint("after ", n, " records, lateness ", lateness), p, q, want, askKept(t, p, q, ks))
			}
		}
		for n, record := range placed {
			ks[record.Partition].add(record, d)
			switch rng.IntN(15) {
			case 0:
				ks[record.Partition].commit()
			case 1:
				ks[record.Partition].commit()
				ks[record.Partition].restart()
			case 2:
				check(n + 1)
			}
		}
		for _, k := range ks {
			k.commit()
			stored := 0
			for kind, rows := range k.rows {
				if kind != view.Profiles {
					stored += len(rows)
				}
			}
			if k.state.Len() > stored {
				t.Fatalf("seed %d: %d rows in memory, %d in the store", seed, k.state.Len(), stored)
			}
			forgotten += stored - k.state.Len()
		}
		check(len(placed))
	})
	if forgotten == 0 {
		t.Error("no row was let go of: nothing was tried")
	}
}

func histories(t *testing.T, f func(t *testing.T, seed int, rng *rand.Rand)) {
	n := 500
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		f(t, seed, rand.New(rand.NewPCG(uint64(seed), 4)))
		if t.Failed() {
			return
		}
	}
}

// An exact state of the lines up to a seam and bounded ones from there on make the
// answer that policy bounded has with this seam, however the latter are split.
func TestBoundedMeetsExactAtASeam(t *testing.T) {
	histories(t, func(t *testing.T, seed int, rng *rand.Rand) {
		partitions, lateness := 1+rng.IntN(3), oracletest.Lateness(rng)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(1+rng.IntN(150)), partitions)
		p, r := oracletest.Params(rng), view.AllRules()[rng.IntN(2)]
		h := oracletest.BoundedHistory(placed, partitions, lateness)
		seam := oracletest.Prefix(rng, h.End())
		states := seamed(placed, seam, p, r, lateness, rng)
		for range 4 {
			q := oracletest.Query(rng)
			want, err := h.BoundedAnswer(h.End(), &seam, r, p, q)
			if err != nil {
				t.Fatal(err)
			}
			compareBounded(t, seed, fmt.Sprintf("seam %s, lateness %v", seam, lateness), p, q, want, answer(t, p, q, states))
		}
	})
}

// seamed are the states of an exact prefix and of some spans behind it.
func seamed(placed []oracletest.Placed, seam coverage.Coverage, p view.Params, r view.Rules, lateness time.Duration, rng *rand.Rand) []*stream.State {
	batch, known := stream.NewState(p, r), stream.NewProfiles()
	states := []*stream.State{batch, stream.NewBoundedState(p, r, known), stream.NewBoundedState(p, r, known)}
	d := event.NewDecoder()
	exact, policy := map[int]*stream.Seen{}, map[int]*stream.Seen{}
	for n := range seam.Orders {
		exact[n], policy[n] = stream.NewSeen(), stream.NewBoundedSeen(lateness)
	}
	for _, record := range placed {
		var l event.OrderLine
		var c event.ProfileChange
		switch {
		case record.Customers:
			if d.Profile(record.Value, &c) == nil {
				known.Add(&c, record.Offset)
				if record.Offset < seam.Customers[record.Partition] {
					batch.AddProfile(&c, record.Offset)
				}
			}
		case d.Order(record.Value, &l) == nil:
			first, claim := exact[record.Partition].Claim(&l), policy[record.Partition].Claim(&l)
			switch below := record.Offset < seam.Orders[record.Partition]; {
			case below && first == stream.First:
				batch.AddLine(&l)
			case !below && claim == stream.First:
				states[1+rng.IntN(2)].AddLine(&l)
			}
		}
	}
	return states
}

// A line counts towards the segment that is known when it is processed, as of its
// window's start, and stays there.
func TestProcessingTimeJoin(t *testing.T) {
	p := view.DefaultParams()
	const hour = 3_600_000
	known := stream.NewProfiles()
	s := stream.NewBoundedState(p, view.EveryLine, known)
	offset := int64(0)
	change := func(validFrom int64, segment string) {
		s.AddProfile(&event.ProfileChange{CustomerID: 1, ValidFromMS: validFrom, Segment: segment, Deleted: segment == ""}, offset)
		offset++
	}
	line := func(at int64) {
		s.AddLine(&event.OrderLine{Kind: event.Sale, CustomerID: 1, Country: "F", StockCode: "1", Quantity: 1, UnitPriceMilli: 1, EventTimeMS: at})
	}
	line(5 * hour)          // unknown: no profile yet
	change(0, "consumer")   // too late for the first
	line(5*hour + 1)        // consumer
	change(5*hour+1, "vip") // within the window: not yet valid at its start
	line(5*hour + 2)        // consumer
	line(6 * hour)          // vip
	change(5*hour, "business")
	line(5*hour + 3) // business
	change(6*hour, "")
	line(6*hour + 1) // unknown: deleted
	want := []view.Row{
		{Text: "business", Num: [view.MaxNums]int64{5 * hour, 1, 1}}, {Text: "consumer", Num: [view.MaxNums]int64{5 * hour, 2, 2}},
		{Text: "unknown", Num: [view.MaxNums]int64{5 * hour, 1, 1}}, {Text: "unknown", Num: [view.MaxNums]int64{6 * hour, 1, 1}},
		{Text: "vip", Num: [view.MaxNums]int64{6 * hour, 1, 1}},
	}
	q := view.Query{View: view.RevenueBySegment}
	if d := gocmp.Diff(want, stream.Finish(p, q, s.Cut(q, nil))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// What is let go of is what no window from the start on needs.
	if known.Len() != 4 {
		t.Fatalf("%d changes, want 4", known.Len())
	}
	known.Forget(6*hour-1, p.Segment)
	if known.Len() != 3 { // business, which is valid at five, and what comes behind it
		t.Errorf("%d changes are left, want 3", known.Len())
	}
	line(7 * hour)
	if got := stream.Finish(p, q, s.Cut(q, nil)); got[len(got)-1] != (view.Row{Text: "unknown", Num: [view.MaxNums]int64{7 * hour, 1, 1}}) {
		t.Errorf("after letting go: %v", got[len(got)-1])
	}
}

// Late lines and ids are judged as the definition says, over a stream long enough
// for epochs to close, and across restarts; and what is in memory stays bounded.
func TestBoundedSeenKeepsToTheDefinition(t *testing.T) {
	for _, lateness := range []time.Duration{0, time.Second, time.Minute} {
		rng := rand.New(rand.NewPCG(uint64(lateness), 8))
		k := newKept(view.DefaultParams(), view.EveryLine, lateness)
		k.seen.Track()
		first, sent := map[string]event.OrderLine{}, make([]event.OrderLine, 100)
		watermark, clock := int64(math.MinInt64), int64(1_740_000_000_000)
		counts := map[stream.Claim]int{}
		most := 0
		for n := range 400_000 {
			clock += rng.Int64N(8)
			l := event.OrderLine{EventID: fmt.Sprint(n - rng.IntN(30_000)), Kind: event.Sale, Country: "F", StockCode: "1", Quantity: 1 + rng.Int64N(2), UnitPriceMilli: 1,
				EventTimeMS: clock - rng.Int64N(2+lateness.Milliseconds()*rng.Int64N(3))}
			if rng.IntN(20) == 0 && sent[n%len(sent)].EventID != "" {
				l = sent[rng.IntN(len(sent))]
			} else {
				sent[n%len(sent)] = l
			}
			want := stream.First
			f, seen := first[l.EventID]
			switch {
			case l.EventTimeMS+lateness.Milliseconds() < watermark:
				want = stream.Late
			case seen && f.EventTimeMS+lateness.Milliseconds() >= watermark && f.SameContent(&l):
				want = stream.Duplicate
			case seen && f.EventTimeMS+lateness.Milliseconds() >= watermark:
				want = stream.Conflict
			default:
				first[l.EventID] = l
			}
			watermark = max(watermark, l.EventTimeMS)
			if got := k.seen.Claim(&l); got != want {
				t.Fatalf("lateness %v, line %d: %d, want %d", lateness, n, got, want)
			}
			counts[want]++
			most = max(most, k.seen.Len())
			switch rng.IntN(5000) {
			case 0:
				k.commit()
				k.restart()
			case 1, 2, 3:
				k.commit()
			}
		}
		if k.seen.Watermark() != watermark || k.seen.Horizon() != watermark-lateness.Milliseconds() {
			t.Errorf("watermark %d, horizon %d, want %d and %v before it", k.seen.Watermark(), k.seen.Horizon(), watermark, lateness)
		}
		for _, c := range []stream.Claim{stream.First, stream.Late, stream.Duplicate, stream.Conflict} {
			if counts[c] == 0 && lateness > 0 {
				t.Errorf("lateness %v: no line was judged %d: nothing was tried", lateness, c)
			}
		}
		// A minute of lateness is about 17,000 lines at 3.5 ms a line.
		if most > 60_000 {
			t.Errorf("lateness %v: %d ids in memory at a time", lateness, most)
		}
		t.Logf("lateness %v: %v, at most %d ids in memory", lateness, counts, most)
	}
}

// A sketch depends on the set of customers alone, is exact for small sets, and
// errs by no more than its size promises.
func TestSketch(t *testing.T) {
	p, q := view.DefaultParams(), view.Query{View: view.DistinctCustomers}
	line := func(customer int64) *event.OrderLine {
		return &event.OrderLine{Kind: event.Sale, CustomerID: customer, Country: "F", StockCode: "1", Quantity: 1, UnitPriceMilli: 1, EventTimeMS: 5}
	}
	estimate := func(states ...*stream.State) int64 {
		var cuts []*stream.Cut
		for _, s := range states {
			cuts = append(cuts, s.Cut(q, nil))
		}
		rows := stream.Finish(p, q, cuts...)
		if len(rows) != 1 {
			t.Fatalf("%d rows, want 1", len(rows))
		}
		return rows[0].Num[1]
	}
	bounded := func() *stream.State { return stream.NewBoundedState(p, view.EveryLine, stream.NewProfiles()) }
	for _, n := range []int64{1, 2, 8, 50, 500, 5_000, 20_000, 100_000} {
		squares, trials := 0.0, int64(20)
		if n > 20_000 {
			trials = 3
		}
		for trial := range trials {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(trial)))
			base := rng.Int64N(1 << 40)
			whole, half, rest, exact := bounded(), bounded(), bounded(), stream.NewState(p, view.EveryLine)
			for i := range n {
				whole.AddLine(line(base + i))
				if again := rng.Int64N(n); again%2 == 0 {
					half.AddLine(line(base + again))
				}
			}
			for i := n - 1; i >= 0; i-- {
				rest.AddLine(line(base + i))
				if i%2 == 0 {
					exact.AddLine(line(base + i))
				}
			}
			got := estimate(whole)
			if merged := estimate(half, rest); merged != got {
				t.Fatalf("%d customers: %d at once, %d in another order and in parts", n, got, merged)
			}
			if merged := estimate(whole, exact); merged != got {
				t.Fatalf("%d customers: %d at once, %d with half of them from a set", n, got, merged)
			}
			off := float64(got-n) / float64(n)
			squares += off * off
		}
		// 20 trials show the standard error to within a sixth or so.
		if e := math.Sqrt(squares / float64(trials)); e > 0.0105 || n <= 8 && e > 0 {
			t.Errorf("%d customers: standard error %.4f", n, e)
		} else {
			t.Logf("%d customers: standard error %.4f", n, e)
		}
	}
}

func BenchmarkAddLineBounded(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	lines := make([]event.OrderLine, 1<<16)
	for i := range lines {
		lines[i] = event.OrderLine{EventID: fmt.Sprintf("%d-%d", i/5, i), Kind: event.Sale, CustomerID: int64(rng.IntN(4000)), Country: "United Kingdom",
			StockCode: fmt.Sprint(rng.IntN(3000)), Quantity: 3, UnitPriceMilli: 1000}
	}
	s, seen := stream.NewBoundedState(view.DefaultParams(), view.MerchandiseOnly, stream.NewProfiles()), stream.NewBoundedSeen(10*time.Minute)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l := &lines[i%len(lines)]
		l.EventTimeMS = 1740000000000 + int64(i)*30
		seen.Claim(l)
		s.AddLine(l)
		if i%50_000 == 0 {
			s.TakeChanges(func(view.Partial, view.Row) {}, func(view.Partial, view.Row) {})
			s.Forget(seen.Horizon())
		}
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
