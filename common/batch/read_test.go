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
