package onlineretail_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
	"archbench/workloads"
	"archbench/workloads/onlineretail"
	"archbench/workloads/workloadtest"
)

// published reads a file of answers that lies beside the data, as maps by column.
func published(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(filepath.Dir(workloadtest.Path(t)), name))
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

func milli(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64) // the files have three places throughout
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ms(t *testing.T, s string) int64 {
	t.Helper()
	for _, layout := range []string{time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixMilli()
		}
	}
	t.Fatalf("%q is no time", s)
	return 0
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ask(t *testing.T, h *oracle.History, p view.Params, v view.Name) []view.Row {
	t.Helper()
	rows, err := h.Answer(h.End(), view.EveryLine, p, view.Query{View: v})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The oracle's word on the real data is that of two independent programs.
func TestOracleAgreesWithPublishedAnswers(t *testing.T) {
	source := workloadtest.Open(t)
	if got := source.Describe().SHA256; got != onlineretail.PublishedSHA256 {
		t.Fatalf("checksum %s", got)
	}
	if source.Lines() != 541909 {
		t.Fatalf("%d lines", source.Lines())
	}
	kinds := map[event.Kind]int64{}
	h := workloadtest.History(t, source, 4, func(e *workloads.Event) bool {
		if e.Topic == workloads.Orders {
			kinds[e.Line.Kind]++
		}
		return true
	})

	t.Run("counts", func(t *testing.T) {
		c, err := h.Counts(h.End())
		if err != nil || c.Lines != 541909 || c.Duplicate != 0 || c.Unusable != 0 {
			t.Errorf("%+v %v", c, err)
		}
	})
	t.Run("hours", func(t *testing.T) { testHours(t, h) })
	t.Run("days", func(t *testing.T) {
		p := view.DefaultParams()
		p.Tumbling = 24 * time.Hour
		compareRevenue(t, ask(t, h, p, view.RevenueByCountry), published(t, "online-retail-daily.csv"), "day")
	})
	t.Run("countries", func(t *testing.T) { testCountries(t, h) })
	t.Run("hopping", func(t *testing.T) { testHopping(t, h) })
	testSummary(t, h, kinds)
}

func TestOracleAgreesWithPublishedSessions(t *testing.T) {
	h := workloadtest.History(t, workloadtest.Open(t), 3, func(e *workloads.Event) bool {
		return e.Topic == workloads.Customers || e.Line.Kind != event.Cancellation // the file is of purchases only
	})
	p := view.DefaultParams()
	p.SessionGap = 30 * 24 * time.Hour
	got := ask(t, h, p, view.CustomerSessions)
	want := published(t, "online-retail-sessions-30d.csv")
	if len(got) != len(want) {
		t.Fatalf("%d sessions, published are %d", len(got), len(want))
	}
	for i, w := range want {
		r := [4]int64{number(t, w["customer_id"]), ms(t, w["session_start"]), ms(t, w["session_end"]), number(t, w["lines"])}
		if [4]int64(got[i].Num[:4]) != r {
			t.Fatalf("session %d is %v, published is %v", i, got[i].Num, r)
		}
	}
	summary := publishedSummary(t)
	testSessions(t, h, 30*24*time.Hour, summary.Sessions["purchases_only_gap_gt_30d"])
	testSessions(t, h, 30*time.Minute, summary.Sessions["purchases_only_gap_gt_30m"])
}

// compareRevenue sums Q1 over countries and compares each window.
func compareRevenue(t *testing.T, rows []view.Row, want []map[string]string, start string) {
	t.Helper()
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
		exp := [5]int64{number(t, w["lines"]), number(t, w["units"]), milli(t, w["gross_sales"]), milli(t, w["cancellations"]), milli(t, w["net_of_cancellations"])}
		if got := sums[ms(t, w[start])]; got != exp {
			t.Fatalf("%s: %v, published is %v", w[start], got, exp)
		}
	}
}

func testHours(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.Tumbling = time.Hour
	rows := ask(t, h, p, view.RevenueByCountry)
	hours := published(t, "online-retail-hourly.csv")
	compareRevenue(t, rows, hours, "window_start")
	var net int64
	for _, r := range rows {
		net += r.Num[5]
	}
	if net != 9_769_872_054 {
		t.Errorf("net in all %d, published is 9769872054", net)
	}
	distinct := ask(t, h, p, view.DistinctCustomers)
	if guestsOnly := len(rows) - len(distinct); guestsOnly != 105 {
		t.Errorf("%d hours and countries have guests only, published are 105", guestsOnly)
	}
	customers := map[int64]int64{}
	for _, r := range distinct {
		customers[r.Num[0]] += r.Num[1]
	}
	for _, w := range hours {
		if got := customers[ms(t, w["window_start"])]; got != number(t, w["distinct_customers"]) {
			t.Errorf("%s: %d customers, published are %s", w["window_start"], got, w["distinct_customers"])
		}
	}
}

func testCountries(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.Tumbling, p.Distinct = 100*365*24*time.Hour, 100*365*24*time.Hour
	customers := map[string]int64{}
	for _, r := range ask(t, h, p, view.DistinctCustomers) {
		customers[r.Text] = r.Num[1]
	}
	got := map[string]string{}
	for _, r := range ask(t, h, p, view.RevenueByCountry) {
		got[r.Text] = fmt.Sprint(r.Num[1:], customers[r.Text])
	}
	want := published(t, "online-retail-country.csv")
	if len(got) != len(want) {
		t.Errorf("%d countries, published are %d", len(got), len(want))
	}
	for _, w := range want {
		exp := fmt.Sprint([]int64{number(t, w["lines"]), number(t, w["units"]), milli(t, w["gross_sales"]), milli(t, w["cancellations"]), milli(t, w["net_of_cancellations"])}, number(t, w["distinct_customers"]))
		if got[w["country"]] != exp {
			t.Errorf("%s: %s, published is %s", w["country"], got[w["country"]], exp)
		}
	}
}

func testHopping(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.HopSize, p.HopSlide = 7*24*time.Hour, 24*time.Hour
	got := map[int64][2]int64{}
	for _, r := range ask(t, h, p, view.RollingRevenue) {
		s := got[r.Num[0]]
		got[r.Num[0]] = [2]int64{s[0] + r.Num[1], s[1] + r.Num[3]}
	}
	want := published(t, "online-retail-hopping-7d-1d.csv")
	if len(got) != len(want) {
		t.Errorf("%d windows, published are %d", len(got), len(want))
	}
	for _, w := range want {
		if exp := [2]int64{number(t, w["lines"]), milli(t, w["net_of_cancellations"])}; got[ms(t, w["window_start"])] != exp {
			t.Errorf("%s: %v, published is %v", w["window_start"], got[ms(t, w["window_start"])], exp)
		}
	}
}
