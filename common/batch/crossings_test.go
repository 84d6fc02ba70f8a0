package batch_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"

	gocmp "github.com/google/go-cmp/cmp"
)

// Batches of any size find the crossing lines that the oracle does.
func TestCrossingsAgreeWithOracle(t *testing.T) {
	db, all := open(t), 0
	for seed := range 60 {
		rng := rand.New(rand.NewPCG(uint64(seed), 6))
		placed := oracletest.Place(oracletest.NewMaker(rng).Make(1+rng.IntN(150)), 2)
		k := batch.Kernel{Params: oracletest.Params(rng), Rules: view.AllRules()[rng.IntN(view.Versions)]}
		h := oracletest.History(placed, 2)
		want, err := h.Alerts(coverage.Zero(2), h.End(), k.Rules, k.Params)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, placed)
		do(t, db, "CREATE OR REPLACE TABLE counted AS "+k.Counted("("+k.Distinct("lines")+")"))
		none := "CREATE OR REPLACE TABLE before AS " + k.Partial(view.SpendWindows, "(SELECT * FROM counted WHERE false)")
		do(t, db, none)
		var got []oracle.Alert
		for at, next := 0, 0; at < len(placed); at = next {
			next = at + 1 + rng.IntN(len(placed))
			lines := fmt.Sprintf(`(SELECT * FROM counted WHERE "offset" >= %d AND "offset" < %d)`, at, next)
			do(t, db, "CREATE OR REPLACE TABLE added AS "+k.Partial(view.SpendWindows, lines))
			found, err := k.Crossings(t.Context(), db, lines, "added", "before")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range found {
				got = append(got, oracle.Alert(c))
			}
			do(t, db, "INSERT INTO before SELECT * FROM added")
		}
		slices.SortFunc(got, func(a, b oracle.Alert) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		if d := gocmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d, rules %d, params %+v (-oracle +SQL)\n%s", seed, k.Rules, k.Params, d)
		}
		all += len(want)
	}
	if all == 0 {
		t.Error("no crossing line in any history")
	}
}
