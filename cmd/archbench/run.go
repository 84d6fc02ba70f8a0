package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"archbench/bench/scenario"
	"archbench/common/architecture"
	"archbench/common/durable"
	"archbench/results"
	"archbench/results/render"
	broker "archbench/testcontainers"
	"archbench/workloads/onlineretail"
)

func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Run a suite or scenarios and write a result directory",
		Args:  cobra.NoArgs,
	}
	o := newOptions(c, "suite", "scenario", "arch", "broker", "bootstrap", "workload.source", "rate", "duration", "events", "partitions", "policy", "guarantee",
		"trigger", "batch_interval", "seed", "trials", "out", "strict")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		return runSuite(c.Context(), o)
	}
	return c
}

func runSuite(ctx context.Context, o *options) error {
	p, err := plan(o)
	if err != nil {
		return usage(err)
	}
	result, err := scenario.Run(ctx, p)
	if errors.Is(err, onlineretail.ErrNotFound) || errors.Is(err, os.ErrNotExist) && result == nil && !exists(p.Out) {
		return usage(err)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted; %s holds what was measured so far and no result", p.Out)
		}
		return runtime(err)
	}
	if err := writeReport(p.Out, result); err != nil {
		return runtime(err)
	}
	fmt.Printf("\n%s\nbroker: %s %s (%s); the run is in %s, begin with report.md\n", render.Table(result), result.Broker.Product, result.Broker.Version, result.Broker.Kind, p.Out)
	return judgement(result, o.flag("strict"))
}

// judgement turns what a run found into the exit code.
func judgement(r *results.Result, strict bool) error {
	var invalid, wrong []string
	for i := range r.Measurements {
		m := &r.Measurements[i]
		name := m.Scenario + " on " + m.Architecture
		if m.Divergence.Any() {
			wrong = append(wrong, name)
		}
		if !m.Valid {
			invalid = append(invalid, name)
		}
	}
	switch {
	case len(wrong) > 0:
		return &failure{exitDivergence, fmt.Errorf("wrong answers: %s", strings.Join(wrong, ", "))}
	case strict && len(invalid) > 0:
		return &failure{exitGate, fmt.Errorf("a gate failed: %s", strings.Join(invalid, ", "))}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func plan(o *options) (scenario.Plan, error) {
	self, err := os.Executable()
	if err != nil {
		return scenario.Plan{}, fmt.Errorf("find this program: %w", err)
	}
	p := scenario.Plan{
		Suite: o.text("suite"), Scenarios: o.list("scenario"), Architectures: o.list("arch"),
		Broker:     broker.Options{Kind: o.text("broker"), Bootstrap: o.list("bootstrap"), Embedded: []string{self, "broker", "serve-embedded"}},
		Partitions: int(o.integer("partitions")), Params: o.params(), Policy: architecture.Policy(o.text("policy")), Guarantee: architecture.Guarantee(o.text("guarantee")),
		Workload: o.text("workload.source"), WorkloadPath: o.text("workload.path"), Rate: o.number("rate"), Duration: o.duration("duration"), Events: o.integer("events"),
		History: o.integer("history"), Trigger: o.duration("trigger"), BatchInterval: o.duration("batch_interval"), ReadsPerS: o.number("reads"),
		Seed: uint64(o.integer("seed")), Trials: int(o.integer("trials")), Out: o.text("out"), Executable: []string{self},
		CommandLine: strings.Join(append([]string{"archbench"}, os.Args[1:]...), " "), Progress: os.Stderr, ArchitectureConfig: writeConfig,
	}
	if err := o.check(); err != nil {
		return p, err
	}
	if p.Suite != "" && len(p.Scenarios) > 0 {
		return p, errors.New("--suite and --scenario exclude each other")
	}
	if p.Suite == "" && len(p.Scenarios) == 0 {
		p.Suite = scenario.Quick
	}
	if p.Out == "" {
		name := p.Suite
		if name == "" {
			name = strings.Join(p.Scenarios, "-")
		}
		p.Out = filepath.Join("results", "runs", time.Now().UTC().Format("20060102T150405Z")+"-"+name)
	}
	p.Commit, p.Dirty = revision()
	return p, p.Check()
}

// revision is the commit that this program was built from.
func revision() (commit string, dirty bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	return commit, dirty
}

// writeConfig writes the configuration file of a serve process, in the keys of
// the settings.
func writeConfig(path string, c scenario.ProcessConfig) error {
	type windows struct {
		Tumbling   string `yaml:"tumbling"`
		HopSize    string `yaml:"hop_size"`
		HopSlide   string `yaml:"hop_slide"`
		SessionGap string `yaml:"session_gap"`
		Top        string `yaml:"top"`
		Segment    string `yaml:"segment"`
		Distinct   string `yaml:"distinct"`
		Alert      string `yaml:"alert"`
	}
	p := c.Params
	content, err := yaml.Marshal(struct {
		Bootstrap     string  `yaml:"bootstrap"`
		Topics        string  `yaml:"topics"`
		DataDir       string  `yaml:"data_dir"`
		Policy        string  `yaml:"policy"`
		Guarantee     string  `yaml:"guarantee"`
		Rules         int     `yaml:"rules"`
		Trigger       string  `yaml:"trigger"`
		BatchInterval string  `yaml:"batch_interval"`
		TopK          int     `yaml:"top_k"`
		Threshold     int64   `yaml:"alert_threshold_milli"`
		Windows       windows `yaml:"windows"`
	}{strings.Join(c.Bootstrap, ","), c.Topics, c.DataDir, string(c.Policy), string(c.Guarantee), int(c.Rules), c.Trigger.String(), c.BatchInterval.String(),
		p.TopK, p.AlertThresholdMilli, windows{p.Tumbling.String(), p.HopSize.String(), p.HopSlide.String(), p.SessionGap.String(), p.Top.String(), p.Segment.String(), p.Distinct.String(), p.Alert.String()}})
	if err != nil {
		return fmt.Errorf("encode the configuration: %w", err)
	}
	return durable.Replace(path, content)
}

func writeReport(dir string, r *results.Result) error {
	return durable.Replace(filepath.Join(dir, "report.md"), []byte(render.Report(r)))
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Write a run's report again, from its result.json",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := results.Read(args[0])
			if err != nil {
				return usage(err)
			}
			if err := writeReport(args[0], r); err != nil {
				return runtime(err)
			}
			fmt.Print(render.Table(r))
			return nil
		},
	}
}
