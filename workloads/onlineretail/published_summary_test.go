package onlineretail_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
	"archbench/workloads"
	"archbench/workloads/workloadtest"
)

// summary is the part of the published summary that speaks of what the views show.
type summary struct {
	Summary struct {
		Rows                 int64
		DistinctCustomers    int64            `json:"distinct_customers"`
		LinesByKind          map[string]int64 `json:"lines_by_kind"`
		LinesMissingCustomer int64            `json:"lines_missing_customer"`
		SumQuantity          int64            `json:"sum_quantity"`
		GrossSales           string           `json:"gross_sales"`
		Cancellations        string
		NetOfCancellations   string `json:"net_of_cancellations"`
		DistinctCountries    int    `json:"distinct_countries"`
	}
	Monthly map[string]struct {
		Lines, Units  int64
		GrossSales    string `json:"gross_sales"`
		Cancellations string
		Net           string `json:"net_of_cancellations"`
	}
	CountriesByGross  [][2]string `json:"countries_by_gross_sales_top10"`
	CustomersByNet    [][2]string `json:"customers_by_net_of_cancellations_top10"`
	ProductsByGross   []product   `json:"products_by_gross_sales_top10"`
	Sessions          map[string]sessions
	CountriesByNetTop []struct {
		Country string
		Net     string `json:"net_of_cancellations"`
	} `json:"countries_by_net_of_cancellations_top10"`
}

type product struct {
	Code  string `json:"stock_code"`
	Gross string `json:"gross_sales"`
}

type sessions struct {
	Customers, Events, Sessions int64
	OneSession                  int64 `json:"customers_with_one_session"`
	MostSessions                int64 `json:"max_sessions_per_customer"`
	MostEvents                  int64 `json:"max_events_in_session"`
	MedianEvents                int64 `json:"median_events_in_session_nearest_rank"`
	LongestSeconds              int64 `json:"longest_session_seconds"`
	SpanSeconds                 int64 `json:"total_span_seconds"`
}

func publishedSummary(t *testing.T) summary {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(filepath.Dir(workloadtest.Path(t)), "online-retail.oracle.json"))
	if err != nil {
		t.Fatalf("the published answers belong beside the data: %v", err)
	}
	var all map[string]summary
	if err := json.Unmarshal(dropRules(t, content), &all); err != nil {
		t.Fatal(err)
	}
	return all["online-retail"]
}

// dropRules leaves out the texts that explain the answers.
func dropRules(t *testing.T, content []byte) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "rules")
	rest, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

// ages is a window that holds all of the data.
const ages = 100 * 365 * 24 * time.Hour

// testSummary holds the views of all lines against the published summary.
func testSummary(t *testing.T, h *oracle.History, kinds map[event.Kind]int64) {
	want := publishedSummary(t)
	t.Run("kinds", func(t *testing.T) {
		got := map[string]int64{"sale": kinds[event.Sale], "cancel": kinds[event.Cancellation], "other": kinds[event.Adjustment]}
		if !maps.Equal(got, want.Summary.LinesByKind) {
			t.Errorf("%v, published is %v", got, want.Summary.LinesByKind)
		}
	})
	t.Run("months", func(t *testing.T) { testMonths(t, h, want) })
	t.Run("best countries", func(t *testing.T) { testBestCountries(t, h, want) })
	t.Run("products", func(t *testing.T) { testBestProducts(t, h, want) })
	t.Run("customers", func(t *testing.T) { testBestCustomers(t, h, want) })
	t.Run("guests", func(t *testing.T) {
		p := view.DefaultParams()
		p.Segment = ages
		rows := ask(t, h, p, view.RevenueBySegment)
		guests := slices.IndexFunc(rows, func(r view.Row) bool { return r.Text == "guest" })
		if guests < 0 || rows[guests].Num[1] != want.Summary.LinesMissingCustomer {
			t.Errorf("%v, published are %d lines of guests", rows, want.Summary.LinesMissingCustomer)
		}
	})
	t.Run("sessions of all kinds", func(t *testing.T) {
		testSessions(t, h, 30*24*time.Hour, want.Sessions["all_lines_gap_gt_30d"])
		testSessions(t, h, 30*time.Minute, want.Sessions["all_lines_gap_gt_30m"])
	})
}

func testMonths(t *testing.T, h *oracle.History, want summary) {
	p := view.DefaultParams()
	p.Tumbling = 24 * time.Hour
	got := map[string][5]int64{}
	var all [5]int64
	for _, r := range ask(t, h, p, view.RevenueByCountry) {
		month := time.UnixMilli(r.Num[0]).UTC().Format("2006-01")
		sums := got[month]
		for i := range sums {
			sums[i] += r.Num[i+1]
			all[i] += r.Num[i+1]
		}
		got[month] = sums
	}
	if len(got) != len(want.Monthly) {
		t.Errorf("%d months, published are %d", len(got), len(want.Monthly))
	}
	for month, w := range want.Monthly {
		if exp := [5]int64{w.Lines, w.Units, workloadtest.Milli(t, w.GrossSales), workloadtest.Milli(t, w.Cancellations), workloadtest.Milli(t, w.Net)}; got[month] != exp {
			t.Errorf("%s: %v, published is %v", month, got[month], exp)
		}
	}
	s := want.Summary
	if exp := [5]int64{s.Rows, s.SumQuantity, workloadtest.Milli(t, s.GrossSales), workloadtest.Milli(t, s.Cancellations), workloadtest.Milli(t, s.NetOfCancellations)}; all != exp {
		t.Errorf("in all %v, published is %v", all, exp)
	}
}

// best formats the ten rows with the highest amount, ties by name.
func best(rows []view.Row, amount int, name func(view.Row) string) []string {
	slices.SortFunc(rows, func(a, b view.Row) int {
		return cmp.Or(cmp.Compare(b.Num[amount], a.Num[amount]), strings.Compare(name(a), name(b)))
	})
	var lines []string
	for _, r := range rows[:10] {
		lines = append(lines, fmt.Sprint(name(r), " ", r.Num[amount]))
	}
	return lines
}

func country(r view.Row) string { return r.Text }

func testBestCountries(t *testing.T, h *oracle.History, want summary) {
	p := view.DefaultParams()
	p.Tumbling = ages
	rows := ask(t, h, p, view.RevenueByCountry)
	if len(rows) != want.Summary.DistinctCountries {
		t.Errorf("%d countries, published are %d", len(rows), want.Summary.DistinctCountries)
	}
	var byNet, byGross []string
	for _, c := range want.CountriesByNetTop {
		byNet = append(byNet, fmt.Sprint(c.Country, " ", workloadtest.Milli(t, c.Net)))
	}
	for _, c := range want.CountriesByGross {
		byGross = append(byGross, fmt.Sprint(c[0], " ", workloadtest.Milli(t, c[1])))
	}
	if got := best(rows, 5, country); !slices.Equal(got, byNet) {
		t.Errorf("by net %v, published are %v", got, byNet)
	}
	if got := best(rows, 3, country); !slices.Equal(got, byGross) {
		t.Errorf("by gross %v, published are %v", got, byGross)
	}
}

func testBestProducts(t *testing.T, h *oracle.History, want summary) {
	p := view.DefaultParams()
	p.Top = ages
	got := ask(t, h, p, view.TopProducts)
	if len(got) != len(want.ProductsByGross) {
		t.Fatalf("%d products, published are %d", len(got), len(want.ProductsByGross))
	}
	for i, w := range want.ProductsByGross {
		if got[i].Text != w.Code || got[i].Num[1] != int64(i+1) || got[i].Num[3] != workloadtest.Milli(t, w.Gross) {
			t.Errorf("rank %d is %v, published is %v", i+1, got[i], w)
		}
	}
}

// With a gap that is never reached a customer has one session, and its net is the customer's.
func testBestCustomers(t *testing.T, h *oracle.History, want summary) {
	p := view.DefaultParams()
	p.SessionGap = ages
	rows := ask(t, h, p, view.CustomerSessions)
	if int64(len(rows)) != want.Summary.DistinctCustomers {
		t.Errorf("%d customers, published are %d", len(rows), want.Summary.DistinctCustomers)
	}
	var exp []string
	for _, c := range want.CustomersByNet {
		exp = append(exp, fmt.Sprint(c[0], " ", workloadtest.Milli(t, c[1])))
	}
	if got := best(rows, 4, func(r view.Row) string { return fmt.Sprint(r.Num[0]) }); !slices.Equal(got, exp) {
		t.Errorf("by net %v, published are %v", got, exp)
	}
}

func testSessions(t *testing.T, h *oracle.History, gap time.Duration, want sessions) {
	t.Helper()
	p := view.DefaultParams()
	p.SessionGap = gap
	rows := ask(t, h, p, view.CustomerSessions)
	got := sessions{Sessions: int64(len(rows))}
	of := map[int64]int64{} // sessions of a customer
	var events []int64
	for _, r := range rows {
		seconds := (r.Num[2] - r.Num[1]) / 1000
		of[r.Num[0]]++
		events = append(events, r.Num[3])
		got.Events += r.Num[3]
		got.SpanSeconds += seconds
		got.LongestSeconds = max(got.LongestSeconds, seconds)
	}
	for _, n := range of {
		got.MostSessions = max(got.MostSessions, n)
		if n == 1 {
			got.OneSession++
		}
	}
	slices.Sort(events)
	got.Customers, got.MostEvents, got.MedianEvents = int64(len(of)), events[len(events)-1], events[(len(events)+1)/2-1]
	if got != want || want.Sessions == 0 {
		t.Errorf("gap %v: %+v, published is %+v", gap, got, want)
	}
}

// The published numbers of customers are over countries; with one country for all, so are the view's.
func TestOracleAgreesWithPublishedCustomers(t *testing.T) {
	h := workloadtest.History(t, workloadtest.Open(t), 4, func(e *workloads.Event) bool {
		e.Line.Country = "everywhere"
		return true
	})
	for file, window := range map[string]struct {
		column string
		size   time.Duration
	}{
		"online-retail-hourly.csv": {"window_start", time.Hour},
		"online-retail-daily.csv":  {"day", 24 * time.Hour},
	} {
		p := view.DefaultParams()
		p.Distinct = window.size
		got := map[int64]int64{}
		for _, r := range ask(t, h, p, view.DistinctCustomers) {
			got[r.Num[0]] = r.Num[1]
		}
		for _, w := range workloadtest.Published(t, file) {
			if n := got[workloadtest.MS(t, w[window.column])]; n != workloadtest.Number(t, w["distinct_customers"]) { // no row and 0 alike
				t.Errorf("%s: %d customers, published are %s", w[window.column], n, w["distinct_customers"])
			}
		}
	}
}
