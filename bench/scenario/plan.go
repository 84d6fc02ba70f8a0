package scenario

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/view"
	broker "archbench/testcontainers"
	"archbench/workloads/catalog"
	"archbench/workloads/disturb"
)

// Scenarios.
const (
	Steady    = "steady"
	Backfill  = "backfill"
	Reprocess = "reprocess"
)

// Quick is the suite that fits into five minutes.
const Quick = "quick"

// QuickDecides names the settings that the quick suite fixes.
func QuickDecides() []string {
	return []string{"workload.source", "duration", "trigger", "batch_interval", "events", "history"}
}

// lambda is the architecture whose batches are counted instead of its commits.
const lambda = "lambda"

// Architectures are those of this project.
func Architectures() []string { return []string{lambda, "kappa", "unified"} }

// Scenarios lists those of this version.
func Scenarios() []string { return []string{Steady, Backfill, Reprocess} }

// Plan is everything that a run is told.
type Plan struct {
	Suite     string   // or Scenarios
	Scenarios []string // in this order
	// Architectures are names of this project's, or NAME=URL for an engine that
	// somebody else runs behind the same contract.
	Architectures []string

	Broker     broker.Options
	Kafka      kafkalog.Config // credentials, compression, retention; addresses come from the broker
	Topics     string          // begins the names of all topics; empty: the run's name and time
	Partitions int
	Params     view.Params
	Policy     architecture.Policy
	Guarantee  architecture.Guarantee
	Lateness   time.Duration // allowed under policy bounded

	Workload      string         // synthetic, online-retail or csv:PATH
	WorkloadPath  string         // of the online-retail data; empty: the known places
	Disturb       disturb.Params // laid over the workload, its seed the run's
	Rate          float64
	Duration      time.Duration
	Events        int64 // history and live together; 0: as the scenario says
	History       int64 // events preloaded for steady
	Trigger       time.Duration
	BatchInterval time.Duration
	ReadsPerS     float64
	Seed          uint64
	Trials        int

	Out         string
	Executable  []string // the program whose serve command runs an architecture
	Token       string   // bearer token for every architecture; a process of ours has it from the environment
	CommandLine string   // as typed, for the result
	Commit      string
	Dirty       bool
	Progress    io.Writer // for whoever waits: plain lines, and a live one on a terminal
	// ArchitectureConfig writes the effective configuration for one process.
	ArchitectureConfig func(path string, c ProcessConfig) error

	fixed fixed // set by tests alone
}

// fixed is what is the same for every run and everybody.
type fixed struct {
	warmUp      time.Duration // 0: max(10 s, 2 batch intervals, 5 triggers)
	patience    time.Duration // bounds every wait for an architecture
	floorEvents int64         // read for the floors
	floorLive   time.Duration // of produce→consume
}

func (f fixed) withDefaults() fixed {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&f.patience, 5*time.Minute)
	set(&f.floorLive, 4*time.Second)
	if f.floorEvents == 0 {
		f.floorEvents = 300_000 // enough for stable figures, little enough for a quick suite
	}
	return f
}

// ProcessConfig is what a serve process is configured with.
type ProcessConfig struct {
	Run           string // its id
	Bootstrap     []string
	Topics        string // prefix
	DataDir       string
	Params        view.Params
	Policy        architecture.Policy
	Guarantee     architecture.Guarantee
	Lateness      time.Duration
	Rules         view.Rules
	Trigger       time.Duration
	BatchInterval time.Duration
}

// subject is what is measured: one of our architectures, or an engine at a URL.
type subject struct{ name, url string }

// parseSubject reads NAME or NAME=URL.
func parseSubject(s string) (subject, error) {
	name, address, foreign := strings.Cut(s, "=")
	if !foreign {
		if !slices.Contains(Architectures(), name) {
			return subject{}, fmt.Errorf("unknown architecture %q: the architectures are %s, or NAME=URL for an engine of your own", name, strings.Join(Architectures(), ", "))
		}
		return subject{name: name}, nil
	}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || slices.Contains(Architectures(), name) {
		return subject{}, fmt.Errorf("architecture %q: an engine of your own needs a name of its own in lower-case letters, digits and dashes", s)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return subject{}, fmt.Errorf("architecture %q: want NAME=http://HOST:PORT", s)
	}
	return subject{name, address}, nil
}

// subjects are the plan's architectures in order.
func (p *Plan) subjects() ([]subject, error) {
	var all []subject
	for _, a := range p.Architectures {
		s, err := parseSubject(a)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o subject) bool { return o.name == s.name }) {
			return nil, fmt.Errorf("architecture %s is named twice", s.name)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errors.New("no architecture is named")
	}
	return all, nil
}

// What the names of topics may begin with: the rest is shorter than the 249
// characters that Kafka allows.
const (
	prefixCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
	maxPrefix        = 150
)

// Check refuses what cannot be run, with a sentence.
func (p *Plan) Check() error {
	if err := errors.Join(architecture.CheckSemantics(p.Policy, p.Guarantee), architecture.CheckLateness(p.Lateness)); err != nil {
		return err
	}
	if err := p.Params.Validate(); err != nil {
		return err
	}
	if p.Suite != "" && p.Suite != Quick {
		return fmt.Errorf("unknown suite %q: the suite of this version is quick", p.Suite)
	}
	if p.Suite == Quick && p.Policy != architecture.Exact {
		return fmt.Errorf("suite quick runs under policy exact, and policy is %s: leave it out, or name what to run with --scenario", p.Policy)
	}
	for _, s := range p.Scenarios {
		if !slices.Contains(Scenarios(), s) {
			return fmt.Errorf("unknown scenario %q: the scenarios are %s", s, strings.Join(Scenarios(), ", "))
		}
	}
	if p.Suite == "" && len(p.Scenarios) == 0 {
		return errors.New("neither a suite nor a scenario is named")
	}
	if _, err := p.subjects(); err != nil {
		return err
	}
	if err := p.choice(p.Workload, 0).Check(); err != nil {
		return err
	}
	for _, c := range []struct {
		ok       bool
		sentence string
	}{
		{len(p.Topics) <= maxPrefix && strings.Trim(p.Topics, prefixCharacters) == "", "topics must be a prefix of topic names: letters, digits, dots and dashes, at most " + strconv.Itoa(maxPrefix)},
		{p.Partitions >= 1 && p.Partitions <= 1024, "partitions must be between 1 and 1024"},
		{p.Rate > 0 && p.Rate <= 1e6, "rate must be positive, at most 1,000,000 events per second"},
		{p.Duration > 0 && p.Duration <= time.Hour, "duration must be positive, at most 1h"},
		{p.Trials >= 1, "trials must be at least 1"},
		{p.Events >= 0, "events must not be negative"},
		{p.History >= 0, "history must not be negative"},
		{p.Trigger > 0, "trigger must be positive"},
		{p.BatchInterval > 0, "batch-interval must be positive"},
		{p.ReadsPerS > 0 && p.ReadsPerS <= 10_000, "reads must be positive, at most 10,000 per second"},
	} {
		if !c.ok {
			return errors.New(c.sentence)
		}
	}
	return nil
}

// cell is one measurement to be made.
type cell struct {
	subject
	scenario, workload               string
	trial                            int
	rate                             float64
	duration, trigger, batchInterval time.Duration
	warmUp                           time.Duration
	history                          int64 // events, for steady
}

// cells lists the measurements in order; the order of architectures rotates.
func (p *Plan) cells() ([]cell, error) {
	subjects, err := p.subjects()
	if err != nil {
		return nil, err
	}
	scenarios := p.Scenarios
	if p.Suite == Quick {
		scenarios = Scenarios()
	}
	var cells []cell
	for n, s := range scenarios {
		c := cell{scenario: s, workload: p.Workload, rate: p.Rate, duration: p.Duration, trigger: p.Trigger, batchInterval: p.BatchInterval, history: p.History}
		if p.Suite == Quick {
			c.workload = "online-retail"
			if s == Steady {
				c.workload, c.batchInterval, c.trigger, c.duration = "synthetic", 4*time.Second, 500*time.Millisecond, 30*time.Second
			}
		}
		if c.warmUp = p.fixed.warmUp; c.warmUp == 0 {
			c.warmUp = max(10*time.Second, 2*c.batchInterval, 5*c.trigger)
		}
		for trial := range p.Trials {
			for i := range subjects {
				c.subject, c.trial = subjects[(i+n+trial)%len(subjects)], trial+1
				cells = append(cells, c)
			}
		}
	}
	return cells, nil
}

// estimate is about how long the cell takes.
func (c *cell) estimate() time.Duration {
	switch c.scenario {
	case Steady:
		return c.warmUp + c.duration + 6*time.Second
	case Backfill:
		return 10 * time.Second
	}
	return 39 * time.Second
}

// paced is how many events steady sends in its warm-up and window.
func (c *cell) paced() int64 { return int64(c.rate * (c.warmUp + c.duration).Seconds()) }

// choice is a workload under the plan's disturbances, with so many events for
// synthetic (0: no end).
func (p *Plan) choice(workload string, events int64) catalog.Choice {
	return catalog.Choice{Name: workload, Path: p.WorkloadPath, Seed: p.Seed, Events: events, Disturb: p.Disturb}
}
