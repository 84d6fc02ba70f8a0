package onlineretail_test

import (
	"testing"
	"time"

	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
	"archbench/workloads"
	"archbench/workloads/onlineretail"
	"archbench/workloads/workloadtest"
)

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
		workloadtest.Revenue(t, ask(t, h, p, view.RevenueByCountry), "online-retail-daily.csv", "day")
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
	want := workloadtest.Published(t, "online-retail-sessions-30d.csv")
	if len(got) != len(want) {
		t.Fatalf("%d sessions, published are %d", len(got), len(want))
	}
	for i, w := range want {
		r := [4]int64{workloadtest.Number(t, w["customer_id"]), workloadtest.MS(t, w["session_start"]), workloadtest.MS(t, w["session_end"]), workloadtest.Number(t, w["lines"])}
		if [4]int64(got[i].Num[:4]) != r {
			t.Fatalf("session %d is %v, published is %v", i, got[i].Num, r)
		}
	}
	summary := publishedSummary(t)
	testSessions(t, h, 30*24*time.Hour, summary.Sessions["purchases_only_gap_gt_30d"])
	testSessions(t, h, 30*time.Minute, summary.Sessions["purchases_only_gap_gt_30m"])
}

func testHours(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.Tumbling = time.Hour
	workloadtest.Hours(t, ask(t, h, p, view.RevenueByCountry), ask(t, h, p, view.DistinctCustomers))
}

func testCountries(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.Tumbling, p.Distinct = ages, ages
	workloadtest.Countries(t, ask(t, h, p, view.RevenueByCountry), ask(t, h, p, view.DistinctCustomers))
}

func testHopping(t *testing.T, h *oracle.History) {
	p := view.DefaultParams()
	p.HopSize, p.HopSlide = 7*24*time.Hour, 24*time.Hour
	workloadtest.Hopping(t, ask(t, h, p, view.RollingRevenue))
}
