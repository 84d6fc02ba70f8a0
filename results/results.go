package results

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"archbench/common/durable"
	"archbench/common/view"
	"archbench/results/schema"
)

// Schema names the format of Result.
const Schema = "archbench/result/1"

// FileName is the result's file in a run's directory.
const FileName = "result.json"

// Result is everything that a run found.
type Result struct {
	Schema       string        `json:"schema"`
	Run          Run           `json:"run"`
	Host         Host          `json:"host"`
	Broker       Broker        `json:"broker"`
	Workloads    []Workload    `json:"workloads"`
	Floors       *Floors       `json:"floors,omitempty"`
	Measurements []Measurement `json:"measurements"`
}

// Run identifies a run and says how to repeat it.
type Run struct {
	ID         string    `json:"id"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Suite      string    `json:"suite,omitempty"`
	Seed       uint64    `json:"seed"`
	Command    string    `json:"command"`
	Commit     string    `json:"commit,omitempty"`
	Dirty      bool      `json:"dirty"` // built from a tree with changes that are in no commit
	Notes      []string  `json:"notes,omitempty"`
}

// Host is the machine that everything ran on.
type Host struct {
	CPU          string  `json:"cpu"`
	Cores        int     `json:"cores"`
	MemoryBytes  int64   `json:"memory_bytes"`
	OS           string  `json:"os"`
	Kernel       string  `json:"kernel"`
	Go           string  `json:"go"`
	StealPercent float64 `json:"steal_percent"` // of the processors' time, over the run
	CPUSets      CPUSets `json:"cpusets"`
}

// CPUSets are the processors of each side; shared if they could not be parted.
type CPUSets struct {
	Harness      []int `json:"harness"` // the broker too
	Architecture []int `json:"architecture"`
	SharedCPU    bool  `json:"shared_cpu"`
}

// Broker is what the log ran on.
type Broker struct {
	Kind        string   `json:"kind"`
	Product     string   `json:"product"`
	Version     string   `json:"version,omitempty"`
	Image       string   `json:"image,omitempty"`
	Partitions  int      `json:"partitions"`
	Compression string   `json:"compression,omitempty"` // of what is written; empty: none
	Because     []string `json:"because,omitempty"`     // why other kinds were passed over
}

// Workload is one source of events.
type Workload struct {
	ID         string            `json:"id"`
	Source     string            `json:"source"`
	SHA256     string            `json:"sha256,omitempty"`
	Parameters map[string]string `json:"parameters"`
	Note       string            `json:"note,omitempty"`
}

// Floors are what this machine does without any architecture.
type Floors struct {
	ReadPerCPUS      float64      `json:"read_per_cpu_s"`   // records read per CPU second
	DecodePerCPUS    float64      `json:"decode_per_cpu_s"` // read and decoded
	ProduceConsumeUS *Percentiles `json:"produce_consume_us,omitempty"`
}

// Percentiles of a distribution, µs. A percentile that the measurement cannot
// support is absent; Note says why.
type Percentiles struct {
	Count int64  `json:"count"`
	P50   *int64 `json:"p50,omitempty"`
	P90   *int64 `json:"p90,omitempty"`
	P99   *int64 `json:"p99,omitempty"`
	P999  *int64 `json:"p999,omitempty"`
	Max   *int64 `json:"max,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Measurement is one cell: a scenario on an architecture, one trial.
type Measurement struct {
	Scenario       string            `json:"scenario"`
	Workload       string            `json:"workload"`
	Architecture   string            `json:"architecture"`
	Policy         string            `json:"policy"`
	Guarantee      string            `json:"guarantee"`
	Variant        map[string]string `json:"variant,omitempty"`
	Trial          int               `json:"trial"`
	Valid          bool              `json:"valid"`
	InvalidBecause []string          `json:"invalid_because,omitempty"`
	Notes          []string          `json:"notes,omitempty"`

	Load        Load         `json:"load"`
	FreshnessUS *Percentiles `json:"freshness_us,omitempty"`
	AgeUS       *Percentiles `json:"age_us,omitempty"`
	AnswerUS    *Percentiles `json:"answer_us,omitempty"`
	AlertUS     *Percentiles `json:"alert_us,omitempty"`
	Window      *Window      `json:"window,omitempty"`
	Divergence  *Divergence  `json:"divergence,omitempty"`
	// PolicyDivergence is against the definitions of policy and guarantee, where these are not the exact ones.
	PolicyDivergence *Divergence    `json:"policy_divergence,omitempty"`
	DistinctError    *DistinctError `json:"distinct_error,omitempty"`
	Alerts           *Alerts        `json:"alerts,omitempty"`

	Throughput *Throughput `json:"throughput,omitempty"`
	Reprocess  *Reprocess  `json:"reprocess,omitempty"`
	Recovery   *Recovery   `json:"recovery,omitempty"`
	Batches    *Batches    `json:"batches,omitempty"`
	Cost       *Cost       `json:"cost,omitempty"`
}

// MustBeNone is the divergence in which any row is a wrong answer: that from the
// definitions of policy and guarantee, where these are not the exact ones.
func (m *Measurement) MustBeNone() *Divergence {
	if m.PolicyDivergence != nil {
		return m.PolicyDivergence
	}
	return m.Divergence
}

// Load is what was sent.
type Load struct {
	OfferedPerS    float64      `json:"offered_per_s,omitempty"` // of the live part
	AchievedPerS   float64      `json:"achieved_per_s,omitempty"`
	Events         int64        `json:"events"`  // both topics, history included
	History        int64        `json:"history"` // of them, there before the architecture was started
	Duplicates     int64        `json:"duplicates"`
	Late           int64        `json:"late"`
	Poison         int64        `json:"poison"`
	GeneratorLagUS *Percentiles `json:"generator_lag_us,omitempty"`
	// HarnessCores is the processor time of the harness (sending, reading answers,
	// hearing coverage) per second of the live part.
	HarnessCores float64 `json:"harness_cores,omitempty"`
}

// Window bounds the intended times of the events that freshness and age are
// about, and of the reads of age and answer, µs since the epoch: [from, to).
type Window struct {
	FromUS int64 `json:"from_us"`
	ToUS   int64 `json:"to_us"`
}

// DistinctError is the relative error of the rows of distinct_customers under
// bounded, against how many customers there are among the same lines.
type DistinctError struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Recovery is what faults did.
type Recovery struct {
	Faults     int64 `json:"faults"`
	DownUS     int64 `json:"down_us"`
	CaughtUpUS int64 `json:"caught_up_us"`
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	WentBack   int64 `json:"coverage_went_back"`
}

// Divergence counts rows that differ from the truth at the answers' own coverage.
type Divergence struct {
	Reads       int64      `json:"reads"` // answered
	ReadsWrong  int64      `json:"reads_wrong"`
	Unanswered  int64      `json:"reads_unanswered,omitempty"` // neither right nor wrong: there is no answer
	RowsChecked int64      `json:"rows_checked"`
	RowsWrong   int64      `json:"rows_wrong"`
	RowsMissing int64      `json:"rows_missing"`
	RowsExtra   int64      `json:"rows_extra"`
	MaxAbsMilli int64      `json:"max_abs_milli"` // thousandths of a pound
	Final       *FinalRows `json:"final,omitempty"`
	// Views is the same by view, reads and whole views together.
	Views    map[view.Name]view.Difference `json:"views,omitempty"`
	Examples []string                      `json:"examples,omitempty"` // the first wrong answers, readable
}

// Alerts counts what stood in topic alerts, by identity, against what the rules owed
// where they were served. They are judged by the definitions of MustBeNone.
type Alerts struct {
	Expected int64 `json:"expected"`
	Missing  int64 `json:"missing"`
	Extra    int64 `json:"extra"`    // owed by no rules that were served, or no alert at all
	Wrong    int64 `json:"wrong"`    // owed, but with another sum or crossing line
	Repeated int64 `json:"repeated"` // further records of an identity, which delivery allows
	// Examples are the first that are missing, extra or wrong, readable.
	Examples []string `json:"examples,omitempty"`
}

// Any reports whether any alert was missing, extra or wrong.
func (a *Alerts) Any() bool { return a != nil && a.Missing+a.Extra+a.Wrong > 0 }

// FinalRows is the same for the whole views after the traffic.
type FinalRows struct {
	RowsChecked int64 `json:"rows_checked"`
	RowsWrong   int64 `json:"rows_wrong"`
	RowsMissing int64 `json:"rows_missing"`
	RowsExtra   int64 `json:"rows_extra"`
}

// Checked is how many rows were compared; no view, no rows.
func (f *FinalRows) Checked() int64 {
	if f == nil {
		return 0
	}
	return f.RowsChecked
}

// Wrong is how many rows are wrong in any way.
func (f *FinalRows) Wrong() int64 {
	if f == nil {
		return 0
	}
	return f.RowsWrong + f.RowsMissing + f.RowsExtra
}

// Any reports whether any row was wrong, missing or extra, or any answer not one of the contract.
func (d *Divergence) Any() bool {
	return d != nil && (d.ReadsWrong+d.RowsWrong+d.RowsMissing+d.RowsExtra > 0 || d.Final.Wrong() > 0)
}

// AddRead adds the difference of one answered read.
func (d *Divergence) AddRead(v view.Name, diff view.Difference, wrong bool) {
	d.Reads++
	if wrong {
		d.ReadsWrong++
	}
	d.RowsChecked += diff.Checked
	d.RowsWrong += diff.Wrong
	d.RowsMissing += diff.Missing
	d.RowsExtra += diff.Extra
	d.MaxAbsMilli = max(d.MaxAbsMilli, diff.MaxAbsMilli)
	d.addView(v, diff)
}

func (d *Divergence) addView(v view.Name, diff view.Difference) {
	if d.Views == nil {
		d.Views = map[view.Name]view.Difference{}
	}
	sum := d.Views[v]
	sum.Add(diff)
	d.Views[v] = sum
}

// AddFinal adds the difference of one whole view.
func (d *Divergence) AddFinal(v view.Name, diff view.Difference) {
	d.addView(v, diff)
	if d.Final == nil {
		d.Final = &FinalRows{}
	}
	d.Final.RowsChecked += diff.Checked
	d.Final.RowsWrong += diff.Wrong
	d.Final.RowsMissing += diff.Missing
	d.Final.RowsExtra += diff.Extra
	d.MaxAbsMilli = max(d.MaxAbsMilli, diff.MaxAbsMilli)
}

// Throughput is a backfill: from the process's start to everything covered.
type Throughput struct {
	Events        int64   `json:"events"`
	Seconds       float64 `json:"seconds"`
	EventsPerS    float64 `json:"events_per_s"`
	EventsPerCPUS float64 `json:"events_per_cpu_s,omitempty"`
}

// Reprocess is a change of rules: from the request to the switch.
type Reprocess struct {
	HistoryEvents        int64   `json:"history_events"`
	Seconds              float64 `json:"seconds"`
	EventsPerS           float64 `json:"events_per_s"`
	FreshnessP99BeforeUS *int64  `json:"freshness_p99_before_us,omitempty"`
	FreshnessP99DuringUS *int64  `json:"freshness_p99_during_us,omitempty"`
	// The process's costs, from the request to the switch; absent where it is not ours.
	CPUS         *float64 `json:"cpu_s,omitempty"`
	RSSPeakBytes *int64   `json:"rss_peak_bytes,omitempty"`
	DiskBytes    *int64   `json:"disk_bytes,omitempty"`
}

// Batches are the runs of a batch layer or the commits inside the window.
type Batches struct {
	Count           int64   `json:"count"`
	IntervalSeconds float64 `json:"interval_seconds,omitempty"` // achieved
}

// Cost is what the architecture's process used.
type Cost struct {
	CPUS           float64 `json:"cpu_s"`
	CPUSPerMillion float64 `json:"cpu_s_per_million"` // per million events
	RSSPeakBytes   int64   `json:"rss_peak_bytes"`
	DiskBytes      int64   `json:"disk_bytes"`
	// BrokerReadBytes is what the broker sent to it, where that can be told.
	BrokerReadBytes *int64 `json:"broker_read_bytes,omitempty"`
}

// Write writes result.json into a run's directory, checked against the schema.
func Write(dir string, r *Result) error {
	content, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	if err := schema.Validate(content); err != nil {
		return fmt.Errorf("the result does not fit its own schema: %w", err)
	}
	return durable.Replace(filepath.Join(dir, FileName), append(content, '\n'))
}

// Read reads a run's result.
func Read(dir string) (*Result, error) {
	path := filepath.Join(dir, FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	if err := schema.Validate(content); err != nil {
		return nil, fmt.Errorf("%s is no result of this version: %w", path, err)
	}
	r := &Result{}
	if err := json.Unmarshal(content, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
