package serving

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/view"
)

// metrics shows an architecture's status to Prometheus.
type metrics struct {
	registry *prometheus.Registry
	answers  *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

func newMetrics(a architecture.Architecture) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "archbench_answer_duration_seconds", Help: "Time to compute an answer, without sending it.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"view"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "archbench_answer_failures_total", Help: "Answers that could not be computed.",
		}, []string{"view"}),
	}
	for _, v := range view.Names() { // a zero that is there can be alerted on
		m.answers.WithLabelValues(string(v))
		m.failures.WithLabelValues(string(v))
	}
	m.registry.MustRegister(m.answers, m.failures, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), statusCollector{a})
	return m
}

func (m *metrics) answered(v view.Name, took time.Duration) {
	m.answers.WithLabelValues(string(v)).Observe(took.Seconds())
}

func (m *metrics) failed(v view.Name) { m.failures.WithLabelValues(string(v)).Inc() }

// statusCollector turns the status into metrics when it is asked.
type statusCollector struct{ a architecture.Architecture }

// metric is one figure of a status. get says ok where the status has it.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*architecture.Status) (value float64, ok bool)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("archbench_"+name, help, labels, nil)
}

func counter(name, help string, get func(*architecture.Status) int64) metric {
	return metric{describe(name, help), prometheus.CounterValue, func(s *architecture.Status) (float64, bool) { return float64(get(s)), true }}
}

func gauge(name, help string, get func(*architecture.Status) int64) metric {
	return metric{describe(name, help), prometheus.GaugeValue, func(s *architecture.Status) (float64, bool) { return float64(get(s)), true }}
}

// batch is a figure of the batch layer, of a reprocess the same: there or not.
func batch(name, help string, kind prometheus.ValueType, get func(*architecture.BatchStatus) float64) metric {
	return metric{describe(name, help), kind, func(s *architecture.Status) (float64, bool) {
		if s.Batch == nil {
			return 0, false
		}
		return get(s.Batch), true
	}}
}

func reprocess(name, help string, get func(*architecture.Progress) float64) metric {
	return metric{describe(name, help), prometheus.GaugeValue, func(s *architecture.Status) (float64, bool) {
		if s.Reprocess == nil {
			return 0, false
		}
		return get(s.Reprocess), true
	}}
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// statusMetrics lists what is shown of a status.
func statusMetrics() []metric {
	return []metric{
		gauge("ready", "1 once the log's end as seen at start was reached.", func(s *architecture.Status) int64 { return truth(s.Ready) }),
		gauge("lag_records", "Records between coverage and the log's end, both topics.", func(s *architecture.Status) int64 { return s.Lag }),
		gauge("rules", "Version of the rules served.", func(s *architecture.Status) int64 { return int64(s.Rules) }),
		counter("late_lines_total", "Lines dropped as late.", func(s *architecture.Status) int64 { return s.Late }),
		counter("duplicate_lines_total", "Lines whose id was taken.", func(s *architecture.Status) int64 { return s.Duplicate }),
		counter("duplicate_conflicts_total", "Duplicates with other content.", func(s *architecture.Status) int64 { return s.Conflicting }),
		counter("unusable_records_total", "Records sent to the dead-letter queue.", func(s *architecture.Status) int64 { return s.Unusable }),
		counter("alerts_total", "Alerts written to their topic by this process, repeated ones included.", func(s *architecture.Status) int64 { return s.Alerts.Written }),
		gauge("alerts_waiting", "Alerts raised and not yet acknowledged by their topic.", func(s *architecture.Status) int64 { return s.Alerts.Waiting }),
		counter("alert_write_failures_total", "Writes to the topic of alerts that failed and were tried again.", func(s *architecture.Status) int64 { return s.Alerts.Failures }),
		counter("commits_total", "Durable commits of this process.", func(s *architecture.Status) int64 { return s.Commits }),
		{describe("broker_read_bytes_total", "Bytes that brokers have sent to this process."), prometheus.CounterValue, func(s *architecture.Status) (float64, bool) {
			if s.BrokerReadBytes == nil {
				return 0, false
			}
			return float64(*s.BrokerReadBytes), true
		}},
		batch("batch_runs_total", "Runs of the batch layer.", prometheus.CounterValue, func(b *architecture.BatchStatus) float64 { return float64(b.Runs) }),
		batch("batch_last_duration_seconds", "Last run of the batch layer.", prometheus.GaugeValue, func(b *architecture.BatchStatus) float64 { return b.LastSeconds }),
		batch("batch_preempted_total", "Runs of the batch layer that were given up for a reprocess.", prometheus.CounterValue, func(b *architecture.BatchStatus) float64 { return float64(b.Preempted) }),
		batch("batch_interval_seconds", "Time between the last two starts of the batch layer.", prometheus.GaugeValue, func(b *architecture.BatchStatus) float64 { return b.IntervalSeconds }),
		reprocess("reprocess_running", "1 while a reprocess runs.", func(p *architecture.Progress) float64 { return float64(truth(p.Running)) }),
		reprocess("reprocess_done_records", "Records replayed by the running or last reprocess.", func(p *architecture.Progress) float64 { return float64(p.Done) }),
		reprocess("reprocess_total_records", "Records that the running or last reprocess is to replay.", func(p *architecture.Progress) float64 { return float64(p.Total) }),
		reprocess("reprocess_duration_seconds", "Time from the request of the running or last reprocess to now or to the switch.", func(p *architecture.Progress) float64 { return p.Seconds }),
	}
}

var (
	infoDesc      = describe("info", "1; the labels say what is served.", "architecture", "policy", "guarantee")
	stateDesc     = describe("state_size", "State sizes, entries or bytes as the name says.", "state")
	coverageDesc  = describe("coverage_offset", "Next offset that answers do not include.", "topic", "partition")
	committedDesc = describe("committed_offset", "Next offset that a crash now would fall back to.", "topic", "partition")
	seamDesc      = describe("seam_offset", "Next offset that the batch layer's part of the answers does not include.", "topic", "partition")
	watermarkDesc = describe("watermark_timestamp_seconds", "Greatest event time of the lines read since the start, seconds since the epoch.", "partition")
)

// durationDescs are the histograms of the kinds of work.
var durationDescs = map[architecture.Work]*prometheus.Desc{
	architecture.Commit:     describe("commit_duration_seconds", "Time of a durable commit, from the decision on."),
	architecture.Batch:      describe("batch_duration_seconds", "Time of one run of the batch layer."),
	architecture.Compaction: describe("compaction_duration_seconds", "Time of merging files or rows of the state."),
}

// Describe implements prometheus.Collector.
func (c statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statusMetrics() {
		ch <- m.desc
	}
	for _, d := range []*prometheus.Desc{infoDesc, stateDesc, coverageDesc, committedDesc, seamDesc, watermarkDesc} {
		ch <- d
	}
	for _, d := range durationDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.a.Status()
	for _, m := range statusMetrics() {
		if value, ok := m.get(&s); ok {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value)
		}
	}
	ch <- prometheus.MustNewConstMetric(infoDesc, prometheus.GaugeValue, 1, s.Architecture, string(s.Policy), string(s.Guarantee))
	for name, n := range s.State {
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(n), name)
	}
	collectOffsets(ch, coverageDesc, s.Coverage)
	collectOffsets(ch, committedDesc, s.Committed)
	if s.Seam != nil {
		collectOffsets(ch, seamDesc, *s.Seam)
	}
	for p, ms := range s.WatermarksMS {
		if ms != nil {
			ch <- prometheus.MustNewConstMetric(watermarkDesc, prometheus.GaugeValue, float64(*ms)/1000, strconv.Itoa(p))
		}
	}
	for work, h := range s.Durations {
		ch <- prometheus.MustNewConstHistogram(durationDescs[work], h.Count, h.Seconds, buckets(h))
	}
}

func collectOffsets(ch chan<- prometheus.Metric, desc *prometheus.Desc, c coverage.Coverage) {
	for topic, v := range map[string]coverage.Vector{"orders": c.Orders, "customers": c.Customers} {
		for p, offset := range v {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(offset), topic, strconv.Itoa(p))
		}
	}
}

func buckets(h architecture.Histogram) map[float64]uint64 {
	b := map[float64]uint64{}
	for i, bound := range architecture.Bounds() {
		b[bound] = h.Within[i]
	}
	return b
}
