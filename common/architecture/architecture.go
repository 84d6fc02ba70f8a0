package architecture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"archbench/common/alerts"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/view"
)

// Policy says how lateness, duplicates, Q5 and Q6 are treated.
type Policy string

// The policies of the workload.
const (
	Exact   Policy = "exact"
	Bounded Policy = "bounded"
)

// Guarantee says what a crash may do to the views.
type Guarantee string

// The guarantees of the workload.
const (
	AtMostOnce      Guarantee = "at-most-once"
	AtLeastOnce     Guarantee = "at-least-once"
	EffectivelyOnce Guarantee = "effectively-once"
)

// Guarantees lists the guarantees, the least first.
func Guarantees() []Guarantee { return []Guarantee{AtMostOnce, AtLeastOnce, EffectivelyOnce} }

// DefaultLateness is the workload's allowed lateness.
const DefaultLateness = 10 * time.Minute

// CheckSemantics refuses, with a sentence, what is unknown or does not go together.
func CheckSemantics(p Policy, g Guarantee) error {
	switch {
	case p != Exact && p != Bounded:
		return fmt.Errorf("unknown policy %q: the policies are exact and bounded", p)
	case !slices.Contains(Guarantees(), g):
		return fmt.Errorf("unknown guarantee %q: the guarantees are at-most-once, at-least-once and effectively-once", g)
	case p == Exact && g != EffectivelyOnce:
		return fmt.Errorf("guarantee %s does not go with policy exact, which promises that no answer is wrong: use --policy bounded, or --guarantee effectively-once", g)
	}
	return nil
}

// CheckLateness refuses, with a sentence, an allowed lateness that cannot be.
func CheckLateness(d time.Duration) error {
	if d < 0 || d%time.Millisecond != 0 {
		return fmt.Errorf("allowed_lateness is %v: it must be a whole number of milliseconds, not negative", d)
	}
	return nil
}

// Config is what every architecture is given. Each takes what concerns it.
type Config struct {
	Log    eventlog.Log
	Topics eventlog.Topics
	Dir    string // data directory, owned by one process at a time

	Params    view.Params
	Rules     view.Rules // rules to begin with; rules committed in Dir take precedence
	Policy    Policy
	Guarantee Guarantee
	// Lateness is how far behind its partition's watermark a line may lie under
	// policy bounded, which drops later ones. 0: no line may lie behind it.
	Lateness time.Duration

	Trigger        time.Duration // Unified: time between micro-batches
	BatchInterval  time.Duration // Lambda: time between starts of the batch layer
	CommitInterval time.Duration // Kappa: longest time between commits; 0: the default, 200 ms
	MemoryBytes    int64         // bound for DuckDB in this process; 0: the default, 1 GiB
	Threads        int           // threads for DuckDB; 0: one per core this process may use
	// PartitionCheck is the time between looks at the number of partitions; 0: the default, 2 s.
	PartitionCheck time.Duration

	Faults *fault.Set   // nil: none
	Logger *slog.Logger // nil: discards
}

// WithDefaults fills in what was left zero.
func (c Config) WithDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Trigger, time.Second)
	set(&c.BatchInterval, 10*time.Second)
	set(&c.CommitInterval, 200*time.Millisecond)
	set(&c.PartitionCheck, 2*time.Second)
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 1 << 30
	}
	if c.Rules == 0 {
		c.Rules = view.EveryLine
	}
	if c.Policy == "" {
		c.Policy = Exact
	}
	if c.Guarantee == "" {
		c.Guarantee = EffectivelyOnce
	}
	if c.Params == (view.Params{}) {
		c.Params = view.DefaultParams()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Answer is one consistent cut of one view.
type Answer struct {
	View     view.Name
	Rules    view.Rules
	Coverage coverage.Coverage
	Seam     *coverage.Coverage // Lambda: what the batch layer's part covers; nil elsewhere
	Rows     []view.Row         // in the view's order, cut down to the query
}

// Outcome is what Reprocess decided.
type Outcome int

// The outcomes of asking for other rules.
const (
	Started Outcome = iota + 1 // a reprocess has begun
	Served                     // those rules are served already
	Busy                       // another reprocess runs
)

// ErrEnded means that Run is over: nothing may be asked to go on.
var ErrEnded = errors.New("this process is ending: ask again when it has started anew")

// ErrHistoryGone means that the log no longer holds what a replay needs.
var ErrHistoryGone = errors.New("the history that a reprocess needs is no longer in the log")

// Architecture is one running pipeline. Its constructor recovers the committed
// state, so that Answer works at once; Run makes it go on.
type Architecture interface {
	// Run follows the log until ctx ends (then it commits, closes everything and
	// returns nil) or until something makes going on wrong, which it returns.
	// It is called once.
	Run(ctx context.Context) error
	// Answer finishes a view. It may be called from many goroutines.
	Answer(ctx context.Context, q view.Query) (Answer, error)
	// Coverage tells what answers include, and wakes those who wait for more.
	Coverage() *coverage.Announcer
	// Reprocess asks for other rules. The work goes on in Run; the switch is
	// atomic and durable. The error is ErrHistoryGone, ErrEnded once
	// Run has returned, or a failure to begin.
	Reprocess(ctx context.Context, rules view.Rules) (Outcome, error)
	// Status reports counts and sizes.
	Status() Status
}

// Status is what GET /v1/status answers.
type Status struct {
	Architecture string             `json:"architecture"`
	Rules        view.Rules         `json:"rules"`
	Policy       Policy             `json:"policy"`
	Guarantee    Guarantee          `json:"guarantee"`
	Coverage     coverage.Coverage  `json:"coverage"`
	Seam         *coverage.Coverage `json:"seam,omitempty"`
	// Committed is the coverage that a crash now would fall back to.
	Committed coverage.Coverage `json:"committed"`
	// BrokerReadBytes is what brokers have sent since the process started; left out
	// where nobody counts it.
	BrokerReadBytes *int64 `json:"broker_read_bytes,omitempty"`
	// Lag is how many records of both topics lie between coverage and the log's end as last seen.
	Lag       int64 `json:"lag"`
	Ready     bool  `json:"ready"` // has reached the log's end as seen at start
	Late      int64 `json:"late"`  // lines dropped as late; always 0 under exact
	Duplicate int64 `json:"duplicate"`
	// Conflicting counts duplicates whose content differs from the first.
	Conflicting int64            `json:"duplicate_conflict"`
	Unusable    int64            `json:"unusable"`
	Commits     int64            `json:"commits"`             // durable commits of this process
	State       map[string]int64 `json:"state"`               // named state sizes, entries or bytes as the name says
	Batch       *BatchStatus     `json:"batch,omitempty"`     // Lambda's batch layer
	Reprocess   *Progress        `json:"reprocess,omitempty"` // the running or last reprocess
	// Reigns are the rules that were served so far and from where on, oldest first;
	// the last are those served now.
	Reigns []Reign `json:"reigns,omitempty"`
	// Alerts are those that this process wrote to their topic, and those to be written.
	Alerts alerts.Counts `json:"alerts"`
	// WatermarksMS are, by partition of orders, the greatest event times of the lines
	// read since the process started; null where there was none yet.
	WatermarksMS []*int64 `json:"watermarks_ms,omitempty"`
	// Durations are those of the work done since the process started.
	Durations   map[Work]Histogram `json:"durations,omitempty"`
	CrashPoints []string           `json:"crash_points"`
	Bugs        []string           `json:"bugs"`
}

// Reign says that rules were served from a vector on: lines at its offsets or later
// raise alerts under them, until the next reign begins.
type Reign struct {
	Rules view.Rules        `json:"rules"`
	From  coverage.Coverage `json:"from"`
}

// FirstReign is that of the rules that are served from the beginning.
func FirstReign(r view.Rules, partitions int) []Reign { return []Reign{{r, coverage.Zero(partitions)}} }

// BatchStatus reports Lambda's batch layer.
type BatchStatus struct {
	Runs            int64   `json:"runs"`
	Preempted       int64   `json:"preempted"` // given up for a reprocess
	LastSeconds     float64 `json:"last_seconds"`
	IntervalSeconds float64 `json:"interval_seconds"` // achieved, between the last two starts
}

// Progress reports a reprocess.
type Progress struct {
	Rules    view.Rules `json:"rules"`
	Running  bool       `json:"running"`
	Done     int64      `json:"done"`  // records replayed, both topics
	Total    int64      `json:"total"` // records to replay as known now
	Failed   string     `json:"failed,omitempty"`
	Seconds  float64    `json:"seconds"` // from the request (or the restart) to now, or to the switch
	Switched bool       `json:"switched"`
}
