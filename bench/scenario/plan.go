package scenario

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/view"
	broker "archbench/testcontainers"
	"archbench/workloads"
	"archbench/workloads/onlineretail"
	"archbench/workloads/synthetic"
)

// Scenarios.
const (
	Steady    = "steady"
	Backfill  = "backfill"
	Reprocess = "reprocess"
)

// Quick is the suite that fits into five minutes.
const Quick = "quick"

// Architectures are those of this project.
func Architectures() []string { return []string{"lambda", "kappa", "unified"} }

// Scenarios lists those of this version.
func Scenarios() []string { return []string{Steady, Backfill, Reprocess} }

// Plan is everything that a run is told.
type Plan struct {
	Suite         string   // or Scenarios
	Scenarios     []string // in this order
	Architectures []string

	Broker     broker.Options
	Kafka      kafkalog.Config // credentials; addresses come from the broker
	Partitions int
	Params     view.Params
	Policy     architecture.Policy
	Guarantee  architecture.Guarantee

	Workload      string // synthetic, online-retail or csv:PATH
	WorkloadPath  string // of the online-retail data; empty: the known places
	Rate          float64
	Duration      time.Duration
	Events        int64 // history and live together; 0: as the scenario says
	History       int64 // preloaded lines of steady
	Trigger       time.Duration
	BatchInterval time.Duration
	ReadsPerS     float64
	Seed          uint64
	Trials        int

	Out         string
	Executable  []string // the program whose serve command runs an architecture
	CommandLine string   // as typed, for the result
	Commit      string
	Dirty       bool
	Progress    io.Writer // lines for whoever waits
	// ArchitectureConfig writes the effective configuration for one process.
	ArchitectureConfig func(path string, c ProcessConfig) error
}

// ProcessConfig is what a serve process is configured with.
type ProcessConfig struct {
	Bootstrap     []string
	Topics        string // prefix
	DataDir       string
	Params        view.Params
	Policy        architecture.Policy
	Guarantee     architecture.Guarantee
	Rules         view.Rules
	Trigger       time.Duration
	BatchInterval time.Duration
}

// cell is one measurement to be made.
type cell struct {
	scenario, architecture, workload string
	trial                            int
	rate                             float64
	duration, trigger, batchInterval time.Duration
	history                          int64 // lines, for steady
}

// Check refuses what cannot be run, with a sentence.
func (p *Plan) Check() error {
	if err := architecture.CheckSemantics(p.Policy, p.Guarantee); err != nil {
		return err
	}
	if err := p.Params.Validate(); err != nil {
		return err
	}
	if p.Suite != "" && p.Suite != Quick {
		return fmt.Errorf("unknown suite %q: the suite of this version is quick", p.Suite)
	}
	for _, s := range p.Scenarios {
		if !slices.Contains(Scenarios(), s) {
			return fmt.Errorf("unknown scenario %q: the scenarios are %s", s, strings.Join(Scenarios(), ", "))
		}
	}
	for _, a := range p.Architectures {
		if !slices.Contains(Architectures(), a) {
			return fmt.Errorf("unknown architecture %q: the architectures are %s", a, strings.Join(Architectures(), ", "))
		}
	}
	if len(p.Architectures) == 0 {
		return errors.New("no architecture is named")
	}
	for name, ok := range map[string]bool{
		"partitions": p.Partitions >= 1 && p.Partitions <= 1024, "rate": p.Rate > 0, "duration": p.Duration > 0, "trials": p.Trials >= 1,
		"events": p.Events >= 0, "trigger": p.Trigger > 0, "batch-interval": p.BatchInterval > 0, "reads": p.ReadsPerS > 0,
	} {
		if !ok {
			return fmt.Errorf("%s is out of range", name)
		}
	}
	return nil
}

// cells lists the measurements in order; the order of architectures rotates.
func (p *Plan) cells() []cell {
	scenarios := p.Scenarios
	base := cell{workload: p.Workload, rate: p.Rate, duration: p.Duration, trigger: p.Trigger, batchInterval: p.BatchInterval, history: p.History}
	if p.Suite == Quick {
		scenarios = Scenarios()
	}
	var cells []cell
	for n, s := range scenarios {
		c := base
		c.scenario = s
		if p.Suite == Quick {
			c.workload = "online-retail"
			if s == Steady {
				c.workload, c.batchInterval, c.trigger, c.duration = "synthetic", 4*time.Second, 500*time.Millisecond, 30*time.Second
			}
		}
		for trial := range p.Trials {
			for i := range p.Architectures {
				c.architecture, c.trial = p.Architectures[(i+n+trial)%len(p.Architectures)], trial+1
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// warmUp is equal for all architectures: what the slowest of them needs.
func (c *cell) warmUp() time.Duration {
	return max(10*time.Second, 2*c.batchInterval, 5*c.trigger)
}

// estimate is about how long the cell takes.
func (c *cell) estimate() time.Duration {
	switch c.scenario {
	case Steady:
		return c.warmUp() + c.duration + 12*time.Second
	case Backfill:
		return 20 * time.Second
	}
	return 50 * time.Second
}

// source opens the cell's workload with so many events for synthetic (0: no end).
func (p *Plan) source(workload string, events int64) (workloads.Source, error) {
	switch path, isCSV := strings.CutPrefix(workload, "csv:"); {
	case workload == "synthetic":
		params := synthetic.DefaultParams()
		params.Seed, params.Events = p.Seed, events
		return synthetic.New(params)
	case workload == "online-retail":
		path, err := onlineretail.Find(p.WorkloadPath)
		if err != nil {
			return nil, err
		}
		return onlineretail.Open(path, "online-retail")
	case isCSV:
		return onlineretail.Open(path, "csv")
	}
	return nil, fmt.Errorf("unknown workload %q: it may be synthetic, online-retail or csv:PATH", workload)
}
