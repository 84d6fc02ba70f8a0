package serving

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"archbench/common/architecture"
	"archbench/common/view"
)

// metrics shows an architecture's status to Prometheus.
type metrics struct {
	registry *prometheus.Registry
	answers  *prometheus.HistogramVec
	a        architecture.Architecture
}

func newMetrics(a architecture.Architecture) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), a: a, answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "archbench_answer_duration_seconds", Help: "Time to compute an answer, without sending it.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, []string{"view"})}
	m.registry.MustRegister(m.answers, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), statusCollector{a})
	return m
}

func (m *metrics) answered(v view.Name, took time.Duration) {
	m.answers.WithLabelValues(string(v)).Observe(took.Seconds())
}

// statusCollector turns the status into metrics when it is asked.
type statusCollector struct{ a architecture.Architecture }

type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	get  func(*architecture.Status) float64
}

func counter(name, help string, get func(*architecture.Status) float64) metric {
	return metric{prometheus.NewDesc("archbench_"+name, help, nil, nil), prometheus.CounterValue, get}
}

func gauge(name, help string, get func(*architecture.Status) float64) metric {
	return metric{prometheus.NewDesc("archbench_"+name, help, nil, nil), prometheus.GaugeValue, get}
}

// statusMetrics lists what is shown of a status.
func statusMetrics() []metric {
	return []metric{
		gauge("lag_records", "Records between coverage and the log's end, both topics.", func(s *architecture.Status) float64 { return float64(s.Lag) }),
		gauge("coverage_records", "Sum of the offsets covered, both topics.", func(s *architecture.Status) float64 { return float64(s.Coverage.Sum()) }),
		gauge("rules", "Version of the rules served.", func(s *architecture.Status) float64 { return float64(s.Rules) }),
		counter("late_lines_total", "Lines dropped as late.", func(s *architecture.Status) float64 { return float64(s.Late) }),
		counter("duplicate_lines_total", "Lines whose id was taken.", func(s *architecture.Status) float64 { return float64(s.Duplicate) }),
		counter("duplicate_conflicts_total", "Duplicates with other content.", func(s *architecture.Status) float64 { return float64(s.Conflicting) }),
		counter("unusable_records_total", "Records sent to the dead-letter queue.", func(s *architecture.Status) float64 { return float64(s.Unusable) }),
		counter("commits_total", "Durable commits of this process.", func(s *architecture.Status) float64 { return float64(s.Commits) }),
		gauge("batch_duration_seconds", "Last run of the batch layer.", func(s *architecture.Status) float64 {
			if s.Batch == nil {
				return 0
			}
			return s.Batch.LastSeconds
		}),
		gauge("reprocess_running", "1 while a reprocess runs.", func(s *architecture.Status) float64 {
			if s.Reprocess != nil && s.Reprocess.Running {
				return 1
			}
			return 0
		}),
	}
}

var stateDesc = prometheus.NewDesc("archbench_state_size", "State sizes, entries or bytes as the name says.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (c statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range statusMetrics() {
		ch <- m.desc
	}
	ch <- stateDesc
}

// Collect implements prometheus.Collector.
func (c statusCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.a.Status()
	for _, m := range statusMetrics() {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.get(&s))
	}
	for name, n := range s.State {
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(n), name)
	}
}
