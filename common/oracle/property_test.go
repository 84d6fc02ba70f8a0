package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"archbench/common/oracle/oracletest"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

// each gives every check some hundreds of random histories, each with its seed.
func each(t *testing.T, check func(t *testing.T, rng *rand.Rand)) {
	n := uint64(400)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		if t.Failed() {
			return
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { check(t, rand.New(rand.NewPCG(seed, 17))) })
	}
}

// The index only narrows: a query has the rows that it cuts out of the whole view.
func TestQueryCutsTheWholeView(t *testing.T) {
	each(t, func(t *testing.T, rng *rand.Rand) {
		partitions := 1 + rng.IntN(4)
		h := oracletest.History(oracletest.Place(oracletest.NewMaker(rng).Make(rng.IntN(300)), partitions), partitions)
		for range 20 {
			p, q, r := oracletest.Params(rng), oracletest.Query(rng), view.Rules(1+rng.IntN(2))
			at := oracletest.Prefix(rng, h.End())
			whole, err := h.Answer(at, r, p, view.Query{View: q.View})
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Answer(at, r, p, q)
			if err != nil {
				t.Fatal(err)
			}
			if want := q.Apply(whole); !slices.Equal(want, got) {
				t.Fatalf("%+v of %+v: want - and got +: %s", q, p, cmp.Diff(want, got))
			}
		}
	})
}

// An answer at a vector is the answer of a log that ends there.
func TestPrefixIsAHistoryOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, rng *rand.Rand) {
		partitions := 1 + rng.IntN(4)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(rng.IntN(300)), partitions)
		h := oracletest.History(placed, partitions)
		at := oracletest.Prefix(rng, h.End())
		var prefix []oracletest.Placed
		for _, r := range placed {
			if r.Customers && r.Offset < at.Customers[r.Partition] || !r.Customers && r.Offset < at.Orders[r.Partition] {
				prefix = append(prefix, r)
			}
		}
		short, p := oracletest.History(prefix, partitions), oracletest.Params(rng)
		for _, v := range view.Names() {
			want, err := short.Answer(short.End(), 2, p, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Answer(at, 2, p, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			if d := view.Diff(v.Schema(), got, want); d.Any() {
				t.Fatalf("%s at %s: %+v", v, at, d)
			}
		}
		whole, err := h.Counts(at)
		if err != nil {
			t.Fatal(err)
		}
		if alone, err := short.Counts(short.End()); err != nil || alone != whole {
			t.Fatalf("counts %+v, of the prefix alone %+v %v", whole, alone, err)
		}
	})
}

// The number of partitions does not show: all that concerns a customer lies in one.
func TestPartitionsDoNotShow(t *testing.T) {
	each(t, func(t *testing.T, rng *rand.Rand) {
		records, p := oracletest.NewMaker(rng).Make(rng.IntN(300)), oracletest.Params(rng)
		one := oracletest.History(oracletest.Place(records, 1), 1)
		many := oracletest.History(oracletest.Place(records, 7), 7)
		for _, v := range view.Names() {
			want, err := one.Answer(one.End(), 1, p, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			got, err := many.Answer(many.End(), 1, p, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			if d := view.Diff(v.Schema(), got, want); d.Any() {
				t.Fatalf("%s: %+v", v, d)
			}
		}
	})
}

// Whatever the histories, the views agree with each other where they measure the same.
func TestViewsAgreeWithEachOther(t *testing.T) {
	each(t, func(t *testing.T, rng *rand.Rand) {
		h := oracletest.History(oracletest.Place(oracletest.NewMaker(rng).Make(rng.IntN(300)), 2), 2)
		p := oracletest.Params(rng)
		sum := func(v view.Name, column int) (n int64) {
			rows, err := h.Answer(h.End(), 1, p, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				n += r.Num[column]
			}
			return n
		}
		lines, net := sum(view.RevenueByCountry, 1), sum(view.RevenueByCountry, 5)
		if bySegment, bySegmentNet := sum(view.RevenueBySegment, 1), sum(view.RevenueBySegment, 2); bySegment != lines || bySegmentNet != net {
			t.Errorf("by segment %d lines and %d net, by country %d and %d", bySegment, bySegmentNet, lines, net)
		}
		held := int64(p.HopSize / p.HopSlide) // every line is in so many windows
		if rolling, rollingNet := sum(view.RollingRevenue, 1), sum(view.RollingRevenue, 3); rolling != held*lines || rollingNet != held*net {
			t.Errorf("rolling %d lines and %d net in windows of %d slides, by country %d and %d", rolling, rollingNet, held, lines, net)
		}
		if counts, err := h.Counts(h.End()); err != nil || counts.Lines != lines {
			t.Errorf("%d lines by country, counted are %+v %v", lines, counts, err)
		}
	})
}
