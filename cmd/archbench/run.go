package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"archbench/bench/scenario"
	"archbench/common/architecture"
	"archbench/common/durable"
	"archbench/common/serving"
	"archbench/results"
	"archbench/results/render"
	"archbench/workloads/onlineretail"
)

func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Run a suite or scenarios and write a result directory",
		Args:  noArguments,
	}
	o := newOptions(c, "suite", "scenario", "arch", "broker", "bootstrap", "workload.source", "rate", "duration", "events", "partitions", "policy", "allowed_lateness", "guarantee",
		"trigger", "batch_interval", "seed", "trials", "out", "strict")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		p, err := plan(o, c.ErrOrStderr())
		if err != nil {
			return usage(err)
		}
		return run(c.Context(), o, p, c.OutOrStdout())
	}
	return c
}

// run carries a plan out, writes what readers begin with, and judges.
func run(ctx context.Context, o *options, p scenario.Plan, stdout io.Writer) error {
	result, err := scenario.Run(ctx, p)
	if result == nil {
		return runFailure(ctx, p, errors.Join(err, writeEffective(o, p)))
	}
	if written := errors.Join(writeEffective(o, p), writeReport(p.Out, result)); written != nil {
		return runtime(errors.Join(err, written))
	}
	fmt.Fprintf(stdout, "\n%s\nthe run is in %s: begin with report.md\n", render.Table(result), p.Out)
	return judgement(result, err, o.flag("strict"))
}

// runFailure gives a failed run its code: what the files alone would have told is usage.
func runFailure(ctx context.Context, p scenario.Plan, err error) error {
	switch {
	case ctx.Err() != nil && exists(p.Out):
		return runtime(fmt.Errorf("interrupted; %s holds what was measured so far and no result", p.Out))
	case ctx.Err() != nil:
		return runtime(errors.New("interrupted before anything was measured"))
	case errors.Is(err, onlineretail.ErrNotFound), errors.Is(err, fs.ErrNotExist) && !exists(p.Out):
		return usage(err)
	}
	return runtime(err)
}

// judgement turns what a run found into the exit code: first wrong answers,
// then what went wrong while running, then gates.
func judgement(r *results.Result, failed error, strict bool) error {
	var invalid, wrong []string
	for i := range r.Measurements {
		m := &r.Measurements[i]
		name := m.Scenario + " on " + m.Architecture
		alerts := m.Guarantee == string(architecture.EffectivelyOnce) && m.Alerts.Any()
		if mustBeRight(m) && m.Divergence.Any() || m.PolicyDivergence.Any() || alerts {
			wrong = append(wrong, name)
		}
		if !m.Valid {
			invalid = append(invalid, name)
		}
	}
	switch {
	case len(wrong) > 0:
		return diverged(errors.Join(fmt.Errorf("wrong answers: %s", strings.Join(wrong, ", ")), failed))
	case failed != nil:
		return runtime(failed)
	case strict && len(invalid) > 0:
		return gateFailed(fmt.Errorf("a gate failed: %s", strings.Join(invalid, ", ")))
	}
	return nil
}

// mustBeRight reports whether any divergence from the exact definitions is a fault.
func mustBeRight(m *results.Measurement) bool {
	return m.Policy == string(architecture.Exact) && m.Guarantee == string(architecture.EffectivelyOnce)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func plan(o *options, progress io.Writer) (scenario.Plan, error) {
	self, err := os.Executable()
	if err != nil {
		return scenario.Plan{}, fmt.Errorf("find this program: %w", err)
	}
	b, err := brokerOptions(o)
	if err != nil {
		return scenario.Plan{}, err
	}
	p := scenario.Plan{
		Suite: o.text("suite"), Scenarios: o.list("scenario"), Architectures: o.list("arch"),
		Broker: b, Kafka: b.Client, Topics: o.text("topics"),
		Partitions: int(o.integer("partitions")), Params: o.params(), Policy: architecture.Policy(o.text("policy")), Guarantee: architecture.Guarantee(o.text("guarantee")), Lateness: o.duration("allowed_lateness"),
		Workload: o.text("workload.source"), WorkloadPath: o.text("workload.path"), Disturb: o.disturbances(), Rate: o.number("rate"), Duration: o.duration("duration"), Events: o.integer("events"),
		History: o.integer("history"), Trigger: o.duration("trigger"), BatchInterval: o.duration("batch_interval"), ReadsPerS: o.number("reads"),
		Seed: uint64(o.integer("seed")), Trials: int(o.integer("trials")), Out: o.text("out"), Executable: []string{self}, Token: os.Getenv(serving.TokenVariable),
		CommandLine: strings.Join(append([]string{"archbench"}, os.Args[1:]...), " "), Progress: progress, ArchitectureConfig: o.writeConfig,
	}
	if p.Suite != "" && len(p.Scenarios) > 0 {
		return p, errors.New("--suite and --scenario exclude each other")
	}
	if p.Suite == "" && len(p.Scenarios) == 0 {
		p.Suite = scenario.Quick
	}
	if p.Suite == scenario.Quick {
		if err := o.refuseGiven("suite quick", scenario.QuickDecides()...); err != nil {
			return p, err
		}
		if !o.given("policy") {
			p.Policy = architecture.Exact
		}
	}
	if p.Out == "" {
		name := p.Suite
		if name == "" {
			name = strings.Join(p.Scenarios, "-")
		}
		p.Out = filepath.Join("results", "runs", time.Now().UTC().Format("20060102T150405Z")+"-"+name)
	}
	if entries, err := os.ReadDir(p.Out); err == nil && len(entries) > 0 {
		return p, fmt.Errorf("%s is not empty: name another directory with --out, so that two runs do not mix", p.Out)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("--out: %w", err)
	}
	p.Commit, p.Dirty = revision()
	return p, p.Check()
}

// writeConfig writes the configuration file of a serve process: all settings of
// this run, and what the harness decides for each process. Secrets are in none.
func (o *options) writeConfig(path string, c scenario.ProcessConfig) error {
	p := c.Params
	own := map[string]string{
		"run_id": c.Run, "bootstrap": strings.Join(c.Bootstrap, ","), "topics": c.Topics, "data_dir": c.DataDir, "listen": "127.0.0.1:0", "allow_control": "false", "faults": "",
		"policy": string(c.Policy), "guarantee": string(c.Guarantee), "allowed_lateness": c.Lateness.String(), "rules": fmt.Sprint(int(c.Rules)),
		"trigger": c.Trigger.String(), "batch_interval": c.BatchInterval.String(),
		"windows.tumbling": p.Tumbling.String(), "windows.hop_size": p.HopSize.String(), "windows.hop_slide": p.HopSlide.String(), "windows.session_gap": p.SessionGap.String(),
		"windows.top": p.Top.String(), "windows.segment": p.Segment.String(), "windows.distinct": p.Distinct.String(), "windows.alert": p.Alert.String(),
		"top_k": fmt.Sprint(p.TopK), "alert_threshold_milli": fmt.Sprint(p.AlertThresholdMilli),
	}
	return o.save(path, own)
}

// writeEffective writes the configuration that repeats this run, if it has a directory.
func writeEffective(o *options, p scenario.Plan) error {
	if !exists(p.Out) {
		return nil
	}
	return o.save(filepath.Join(p.Out, "config.yaml"), map[string]string{"suite": p.Suite, "policy": string(p.Policy), "out": ""}) // a repetition goes elsewhere
}

// save writes the effective settings, with some of them replaced, as a file.
func (o *options) save(path string, instead map[string]string) error {
	content, err := configFile(func(key string) string {
		if value, ok := instead[key]; ok {
			return value
		}
		return o.text(key)
	})
	if err != nil {
		return err
	}
	return durable.Replace(path, content)
}
