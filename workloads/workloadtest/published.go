package workloadtest

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"archbench/common/view"
)

// PublishedNetMilli is the net revenue of all lines, thousandths of a pound.
const PublishedNetMilli = 9_769_872_054

// Published reads a file of answers that lies beside the real data: rows as maps
// by column. Two independent programs have made and agreed on them.
func Published(t testing.TB, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(filepath.Dir(Path(t)), name))
	if err != nil {
		t.Fatalf("the published answers belong beside the data: %v", err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, r := range all[1:] {
		row := map[string]string{}
		for i, c := range all[0] {
			row[c] = r[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// Milli reads a published amount as thousandths of a pound.
func Milli(t testing.TB, s string) int64 {
	t.Helper()
	return Number(t, strings.Replace(s, ".", "", 1)) // the files have three places throughout
}

// MS reads a published time as ms since the epoch.
func MS(t testing.TB, s string) int64 {
	t.Helper()
	for _, layout := range []string{time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixMilli()
		}
	}
	t.Fatalf("%q is no time", s)
	return 0
}

// Number reads a published integer.
func Number(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Revenue holds revenue_by_country, summed over countries, against a published
// file whose windows begin at the times in column start.
func Revenue(t testing.TB, rows []view.Row, file, start string) {
	t.Helper()
	want := Published(t, file)
	sums := map[int64][5]int64{}
	for _, r := range rows {
		s := sums[r.Num[0]]
		for i := range s {
			s[i] += r.Num[i+1]
		}
		sums[r.Num[0]] = s
	}
	if len(sums) != len(want) {
		t.Errorf("%d windows, published are %d", len(sums), len(want))
	}
	for _, w := range want {
		exp := [5]int64{Number(t, w["lines"]), Number(t, w["units"]), Milli(t, w["gross_sales"]), Milli(t, w["cancellations"]), Milli(t, w["net_of_cancellations"])}
		if got := sums[MS(t, w[start])]; got != exp {
			t.Fatalf("%s: %v, published is %v", w[start], got, exp)
		}
	}
}

// Hours holds revenue_by_country and distinct_customers, both by the hour,
// against what is published.
func Hours(t testing.TB, revenue, distinct []view.Row) {
	t.Helper()
	const file = "online-retail-hourly.csv"
	Revenue(t, revenue, file, "window_start")
	var net int64
	for _, r := range revenue {
		net += r.Num[5]
	}
	if net != PublishedNetMilli {
		t.Errorf("net in all %d, published is %d", net, int64(PublishedNetMilli))
	}
	if guestsOnly := len(revenue) - len(distinct); guestsOnly != 105 {
		t.Errorf("%d hours and countries have guests only, published are 105", guestsOnly)
	}
	customers := map[int64]int64{}
	for _, r := range distinct {
		customers[r.Num[0]] += r.Num[1]
	}
	for _, w := range Published(t, file) {
		if got := customers[MS(t, w["window_start"])]; got != Number(t, w["distinct_customers"]) {
			t.Errorf("%s: %d customers, published are %s", w["window_start"], got, w["distinct_customers"])
		}
	}
}

// Countries holds revenue_by_country and distinct_customers, both with one window
// for all of the data, against what is published.
func Countries(t testing.TB, revenue, distinct []view.Row) {
	t.Helper()
	customers := map[string]int64{}
	for _, r := range distinct {
		customers[r.Text] = r.Num[1]
	}
	got := map[string]string{}
	for _, r := range revenue {
		got[r.Text] = fmt.Sprint(r.Num[1:], customers[r.Text])
	}
	want := Published(t, "online-retail-country.csv")
	if len(got) != len(want) {
		t.Errorf("%d countries, published are %d", len(got), len(want))
	}
	for _, w := range want {
		exp := fmt.Sprint([]int64{Number(t, w["lines"]), Number(t, w["units"]), Milli(t, w["gross_sales"]), Milli(t, w["cancellations"]), Milli(t, w["net_of_cancellations"])}, Number(t, w["distinct_customers"]))
		if got[w["country"]] != exp {
			t.Errorf("%s: %s, published is %s", w["country"], got[w["country"]], exp)
		}
	}
}

// Hopping holds rolling_revenue, 7 days long every day, against what is published.
func Hopping(t testing.TB, rows []view.Row) {
	t.Helper()
	got := map[int64][2]int64{}
	for _, r := range rows {
		s := got[r.Num[0]]
		got[r.Num[0]] = [2]int64{s[0] + r.Num[1], s[1] + r.Num[3]}
	}
	want := Published(t, "online-retail-hopping-7d-1d.csv")
	if len(got) != len(want) {
		t.Errorf("%d windows, published are %d", len(got), len(want))
	}
	for _, w := range want {
		if exp := [2]int64{Number(t, w["lines"]), Milli(t, w["net_of_cancellations"])}; got[MS(t, w["window_start"])] != exp {
			t.Errorf("%s: %v, published is %v", w["window_start"], got[MS(t, w["window_start"])], exp)
		}
	}
}
