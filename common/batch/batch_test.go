package batch_test

import (
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/common/batch"
	"archbench/common/duck"
	"archbench/common/event"
	"archbench/common/oracle/oracletest"
	"archbench/common/stream"
	"archbench/common/view"
)

func open(t testing.TB) *duck.DB {
	t.Helper()
	db, err := duck.Open(t.Context(), duck.Options{Threads: 1, MemoryBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	do(t, db, "CREATE TABLE lines ("+batch.LineColumns+")")
	do(t, db, "CREATE TABLE changes ("+batch.ChangeColumns+")")
	return db
}

func do(t testing.TB, db *duck.DB, statement string) {
	t.Helper()
	if err := db.Do(t.Context(), statement, statement); err != nil {
		t.Fatal(err)
	}
}

// fill puts the usable records of a history into the two tables.
func fill(t testing.TB, db *duck.DB, placed []oracletest.Placed) {
	t.Helper()
	do(t, db, "DELETE FROM lines")
	do(t, db, "DELETE FROM changes")
	d := event.NewDecoder()
	var l event.OrderLine
	var c event.ProfileChange
	err := db.Append(t.Context(), "lines", func(row func(...driver.Value) error) error {
		for _, r := range placed {
			if r.Customers || d.Order(r.Value, &l) != nil {
				continue
			}
			if err := row(int32(r.Partition), r.Offset, l.EventID, int8(l.Kind), l.CustomerID, l.Country, l.StockCode, l.Quantity, l.UnitPriceMilli, l.EventTimeMS); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = db.Append(t.Context(), "changes", func(row func(...driver.Value) error) error {
			for _, r := range placed {
				if !r.Customers || d.Profile(r.Value, &c) != nil {
					continue
				}
				if err := row(int32(r.Partition), r.Offset, c.CustomerID, c.Segment, c.ValidFromMS); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Oracle and both kernels agree: SQL on the whole and on partials of random
// splits, and the stream kernel on partials that SQL made.
func TestKernelAgreesWithOracle(t *testing.T) {
	histories := 250
	if testing.Short() {
		histories = 20
	}
	db := open(t)
	for seed := range histories {
		rng := rand.New(rand.NewPCG(uint64(seed), 2))
		partitions := 1 + rng.IntN(3)
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(1+rng.IntN(150)), partitions)
		k := batch.Kernel{Params: oracletest.Params(rng), Rules: view.AllRules()[rng.IntN(2)]}
		h := oracletest.History(placed, partitions)
		fill(t, db, placed)
		do(t, db, "CREATE OR REPLACE TABLE counted AS "+k.Counted("("+k.Distinct("lines")+")"))
		state := stream.NewState(k.Params, k.Rules)
		for _, kind := range view.Partials() {
			input := "counted"
			if kind == view.Profiles {
				input = "changes"
			}
			// Two halves by offset parity: any split of the lines must do.
			halves := ""
			for half := range 2 {
				if half > 0 {
					halves += " UNION ALL "
				}
				halves += "(" + k.Partial(kind, fmt.Sprintf(`(SELECT * FROM %s WHERE "offset" %% 2 = %d)`, input, half)) + ")"
			}
			do(t, db, fmt.Sprintf("CREATE OR REPLACE TABLE %s AS %s", kind, halves))
			if err := batch.Scan(t.Context(), db, kind.Schema(), fmt.Sprintf("SELECT * FROM (%s)", k.Partial(kind, input)), func(r view.Row) { state.MergeRow(kind, r) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, v := range view.Names() {
			q := oracletest.Query(rng)
			q.View = v
			want, err := h.Answer(h.End(), k.Rules, k.Params, q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := batch.Collect(t.Context(), db, v.Schema(), k.Finish(q, string(v.Partial()), string(view.Profiles)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
				t.Fatalf("seed %d, %s, rules %d, params %+v (-oracle +SQL)\n%s", seed, v, k.Rules, k.Params, d)
			}
			whole := stream.Finish(k.Params, view.Query{View: v}, state.Cut(view.Query{View: v}, nil))
			want, err = h.Answer(h.End(), k.Rules, k.Params, view.Query{View: v})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, whole); d != "" && len(want)+len(whole) > 0 {
				t.Fatalf("seed %d, %s finished by the other kernel (-oracle +both)\n%s", seed, v, d)
			}
		}
	}
}

// Windows of many slides are as right as those of few, whole and in part.
func TestRollingRevenueOfManySlides(t *testing.T) {
	db := open(t)
	for seed, size := range []time.Duration{1000 * time.Minute, 168 * time.Hour} {
		rng := rand.New(rand.NewPCG(uint64(seed), 3))
		p := view.DefaultParams()
		p.HopSize, p.HopSlide = size, time.Minute
		k := batch.Kernel{Params: p, Rules: view.EveryLine}
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(60), 2)
		h := oracletest.History(placed, 2)
		fill(t, db, placed)
		do(t, db, "CREATE OR REPLACE TABLE panes AS "+k.Partial(view.CountryPanes, "("+k.Counted("("+k.Distinct("lines")+")")+")"))
		whole := view.Query{View: view.RollingRevenue}
		rows, err := h.Answer(h.End(), k.Rules, p, whole)
		if err != nil {
			t.Fatal(err)
		}
		if least := int(size / time.Minute); len(rows) < least {
			t.Fatalf("%d rows where one line alone is in %d windows", len(rows), least)
		}
		from, to := rows[len(rows)/3].Num[0]+1, rows[len(rows)*2/3].Num[0]
		for _, q := range []view.Query{whole, {View: whole.View, From: &from, To: &to}, {View: whole.View, Last: 7}, {View: whole.View, From: &to, Limit: 9}} {
			want, err := h.Answer(h.End(), k.Rules, p, q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := batch.Collect(t.Context(), db, q.View.Schema(), k.Finish(q, "panes", ""))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(want, got) {
				t.Fatalf("size %s, query %+v: %d rows of the oracle and %d of SQL differ", size, q, len(want), len(got))
			}
		}
	}
}

// A session that began before a range shows in none of its parts, however they are cut
// into fragments; one that begins in the range shows with what lies behind it.
func TestSessionsAcrossTheBoundsOfARange(t *testing.T) {
	db := open(t)
	k := batch.Kernel{Params: view.DefaultParams(), Rules: view.EveryLine}
	minute := time.Minute.Milliseconds()
	do(t, db, fmt.Sprintf(`CREATE TABLE fragments AS SELECT customer_id, first * %[1]d AS session_start, last * %[1]d AS session_end, 1::BIGINT AS lines, 1::BIGINT AS net_milli
		FROM (VALUES (1, 0, 100), (1, 110, 120), (1, 130, 130), (1, 170, 180), (1, 200, 230), (2, 0, 79), (2, 110, 111)) f(customer_id, first, last)`, minute))
	for _, c := range []struct {
		from, to int64
		want     []view.Row
	}{
		{105, 200, []view.Row{{Num: [view.MaxNums]int64{1, 170 * minute, 230 * minute, 2, 2}}, {Num: [view.MaxNums]int64{2, 110 * minute, 111 * minute, 1, 1}}}},
		{109, 170, []view.Row{{Num: [view.MaxNums]int64{2, 110 * minute, 111 * minute, 1, 1}}}},
		{111, 170, nil},
		{171, 300, nil},
	} {
		from, to := c.from*minute, c.to*minute
		q := view.Query{View: view.CustomerSessions, From: &from, To: &to}
		got, err := batch.Collect(t.Context(), db, q.View.Schema(), k.Finish(q, "fragments", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.want, got) {
			t.Errorf("from minute %d to %d: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// BenchmarkRebuild makes all partials of a million lines, deduplication included.
func BenchmarkRebuild(b *testing.B) {
	const n = 1_000_000
	db := open(b)
	do(b, db, fmt.Sprintf(`INSERT INTO lines SELECT i %% 4, i // 4, 'e' || (i // 5) || '-' || i, 1, (hash(i // 5) %% 20000)::BIGINT, 'United Kingdom', (hash(i) %% 4000)::VARCHAR, 1 + i %% 12, 1000 + i %% 999, 1735689600000 + i * 30 FROM range(%d) t(i)`, n))
	k := batch.Kernel{Params: view.DefaultParams(), Rules: view.MerchandiseOnly}
	for b.Loop() {
		do(b, db, "CREATE OR REPLACE TABLE counted AS "+k.Counted("("+k.Distinct("lines")+")"))
		for _, kind := range view.Partials() {
			if kind != view.Profiles {
				do(b, db, fmt.Sprintf("CREATE OR REPLACE TABLE %s AS %s", kind, k.Partial(kind, "counted")))
			}
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
}
