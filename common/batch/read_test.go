package batch_test

import (
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/common/batch"
	"archbench/common/duck"
	"archbench/common/event"
	"archbench/common/view"
)

// Lines come back as they were written, in the order of the file, however many
// batches of rows that takes and whichever integer the kind is.
func TestReadLines(t *testing.T) {
	db := open(t)
	rng := rand.New(rand.NewPCG(1, 1))
	var want []batch.PlacedLine
	for i := range 20_000 {
		want = append(want, batch.PlacedLine{Partition: rng.IntN(4), Offset: int64(i), OrderLine: event.OrderLine{
			EventID: fmt.Sprintf("id %d", i), Kind: event.Kind(1 + i%3), CustomerID: rng.Int64N(9), Country: []string{"Österreich", ""}[i%2], StockCode: fmt.Sprint(rng.IntN(99)),
			Quantity: rng.Int64N(9) - 4, UnitPriceMilli: rng.Int64N(9999), EventTimeMS: rng.Int64() - rng.Int64()}})
	}
	if err := db.Append(t.Context(), "lines", func(row func(...driver.Value) error) error {
		for _, l := range want {
			if err := row(int32(l.Partition), l.Offset, l.EventID, int8(l.Kind), l.CustomerID, l.Country, l.StockCode, l.Quantity, l.UnitPriceMilli, l.EventTimeMS); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(t.TempDir(), "ours.parquet")
	if err := batch.WriteLines(ours, want); err != nil {
		t.Fatal(err)
	}
	same(t, db, "lines", "read_parquet("+duck.Quote(ours)+")")
	for _, columns := range []string{"*", "* REPLACE (kind::INTEGER AS kind)"} {
		path := filepath.Join(t.TempDir(), "lines.parquet")
		do(t, db, fmt.Sprintf("COPY (SELECT %s FROM lines) TO %s (FORMAT parquet, COMPRESSION zstd)", columns, duck.Quote(path)))
		var got []batch.PlacedLine
		if err := batch.ReadLines(t.Context(), path, func(l *batch.PlacedLine) {
			kept := *l
			kept.EventID, kept.Country, kept.StockCode = strings.Clone(l.EventID), strings.Clone(l.Country), strings.Clone(l.StockCode)
			got = append(got, kept)
		}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("columns %s (-written +read)\n%s", columns, d)
		}
	}
}

// What Go writes is to DuckDB what a table with the columns of the definition holds.
func TestWriteChanges(t *testing.T) {
	db := open(t)
	var changes []batch.PlacedChange
	for i := range int64(300_000) { // several row groups
		changes = append(changes, batch.PlacedChange{Partition: int(i % 3), Offset: i / 3, ProfileChange: event.ProfileChange{CustomerID: i % 99, Segment: []string{"vip", ""}[i%2], ValidFromMS: -i}})
	}
	path := filepath.Join(t.TempDir(), "changes.parquet")
	if err := batch.WriteChanges(path, changes); err != nil {
		t.Fatal(err)
	}
	do(t, db, "INSERT INTO changes SELECT i % 3, i // 3, i % 99, ['vip', ''][1 + i % 2], -i FROM range(300000) t(i)")
	same(t, db, "changes", "read_parquet("+duck.Quote(path)+")")
	if err := batch.WriteChanges(path, nil); err != nil { // a segment may have none
		t.Fatal(err)
	}
	do(t, db, "DELETE FROM changes")
	same(t, db, "changes", "read_parquet("+duck.Quote(path)+")")
	if err := batch.WriteChanges(filepath.Join(path, "x"), nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a path that cannot be: %v", err)
	}
}

// same demands that two relations have the same columns and rows.
func same(t *testing.T, db *duck.DB, a, b string) {
	t.Helper()
	types := "SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE SELECT * FROM %s)"
	var differ int
	var columns, others string
	if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT (SELECT count(*) FROM ((FROM %[1]s EXCEPT ALL FROM %[2]s) UNION ALL (FROM %[2]s EXCEPT ALL FROM %[1]s)))", a, b)).Scan(&differ); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), fmt.Sprintf(types, a)).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), fmt.Sprintf(types, b)).Scan(&others); err != nil {
		t.Fatal(err)
	}
	if differ > 0 || columns != others {
		t.Errorf("%d rows differ; columns %s and %s", differ, columns, others)
	}
}

// A part is read as SQL would select it, from a file of many small row groups.
func TestReadPartial(t *testing.T) {
	db := open(t)
	rng := rand.New(rand.NewPCG(2, 2))
	for kind, rows := range map[view.Partial]string{
		view.CountryWindows:   "i // 3 * 60 AS window_start, ['Österreich', '', 'UK'][1 + i % 3] AS country, i AS lines, i AS units, -i AS gross_milli, 7 AS cancelled_milli",
		view.SpendWindows:     "i // 3 * 60 AS window_start, i % 3 AS customer_id, -i AS gross_milli",
		view.SessionFragments: "i % 99 AS customer_id, i * 20 AS session_start, i * 20 + (hash(i) % 9000)::BIGINT AS session_end, 1 AS lines, i AS net_milli",
	} {
		schema := kind.Schema()
		var columns []string
		for _, c := range schema.Columns {
			if c.Text {
				columns = append(columns, c.Name)
			} else {
				columns = append(columns, c.Name+"::BIGINT AS "+c.Name)
			}
		}
		window := schema.Columns[schema.Window].Name
		do(t, db, fmt.Sprintf("CREATE OR REPLACE TABLE part AS SELECT %s FROM (SELECT %s FROM range(30000) t(i))", strings.Join(columns, ", "), rows))
		path := filepath.Join(t.TempDir(), "partial.parquet")
		do(t, db, fmt.Sprintf("COPY (FROM part ORDER BY %s) TO %s (FORMAT parquet, ROW_GROUP_SIZE 2048)", window, duck.Quote(path)))
		for range 40 {
			part := batch.Whole()
			if rng.IntN(3) > 0 {
				part.From = rng.Int64N(700_000) - 50_000
			}
			if rng.IntN(3) > 0 {
				part.To = rng.Int64N(700_000) - 50_000
			}
			where := fmt.Sprintf("%[1]s >= %[2]d AND %[1]s < %[3]d", window, part.From, part.To)
			if rng.IntN(2) > 0 {
				part.EndsFrom = rng.Int64N(700_000) // other partials have no ends
				if kind == view.SessionFragments {
					where += fmt.Sprintf(" OR session_end >= %d", part.EndsFrom)
				}
			}
			want, err := batch.Collect(t.Context(), db, schema, fmt.Sprintf("FROM part WHERE %s", where))
			if err != nil {
				t.Fatal(err)
			}
			var got []view.Row
			if err := batch.ReadPartial(t.Context(), path, kind, part, func(r view.Row) { got = append(got, r) }); err != nil {
				t.Fatal(err)
			}
			schema.Sort(want)
			schema.Sort(got)
			if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
				t.Fatalf("%s, %+v (-SQL +read)\n%s", kind, part, d)
			}
		}
	}
}

// A file of other columns is refused by name.
func TestReadLinesOfOtherColumns(t *testing.T) {
	db := open(t)
	for says, columns := range map[string]string{
		"no column kind":                    "* EXCLUDE (kind)",
		"column quantity is of type utf8":   "* REPLACE (quantity::VARCHAR AS quantity)",
		"column partition is of type int64": "* REPLACE (partition::BIGINT AS partition)",
		"column country is of type int64":   "* REPLACE (1::BIGINT AS country)",
	} {
		path := filepath.Join(t.TempDir(), "others.parquet")
		do(t, db, "DELETE FROM lines")
		do(t, db, "INSERT INTO lines SELECT 1, 1, 'e', 1, 1, 'UK', 'A', 1, 1, 1")
		do(t, db, fmt.Sprintf("COPY (SELECT %s FROM lines) TO %s (FORMAT parquet)", columns, duck.Quote(path)))
		err := batch.ReadLines(t.Context(), path, func(*batch.PlacedLine) { t.Error("it had lines") })
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: it ended with %v, want %s", columns, err, says)
		}
	}
}
