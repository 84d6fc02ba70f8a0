package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"archbench/common/architecture"
	"archbench/common/datadir"
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/fault"
	"archbench/common/serving"
	"archbench/common/view"
	"archbench/kappa"
	"archbench/lambda"
	"archbench/unified"
)

// pipeline is one of the architectures, to be opened.
type pipeline struct {
	open        func(context.Context, architecture.Config) (architecture.Architecture, error)
	crashPoints func(architecture.Guarantee) []string
	bugs        []string
}

func pipelines() map[string]pipeline {
	return map[string]pipeline{
		"lambda":  {opener(lambda.Open), lambda.CrashPoints, append(lambda.Bugs(), lambda.BoundedBugs()...)},
		"kappa":   {opener(kappa.Open), kappa.CrashPoints, append(kappa.Bugs(), kappa.BoundedBugs()...)},
		"unified": {opener(unified.Open), unified.CrashPoints, unified.Bugs()},
	}
}

// opener gives a constructor the common type.
func opener[A architecture.Architecture](open func(context.Context, architecture.Config) (A, error)) func(context.Context, architecture.Config) (architecture.Architecture, error) {
	return func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		return open(ctx, c)
	}
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve lambda|kappa|unified",
		Short: "Run one architecture behind the HTTP contract",
		Long: "Run one architecture behind the HTTP contract. As soon as committed state can be asked, a line {\"address\":\"HOST:PORT\"} is printed;\n" +
			"logs go to stderr; SIGTERM or Ctrl-C ends it cleanly.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(slices.Collect(maps.Keys(pipelines())), args[0]) {
				return nil
			}
			return fmt.Errorf("serve needs one architecture, which is lambda, kappa or unified; given: %q", strings.Join(args, " "))
		},
	}
	o := newOptions(c, "bootstrap", "topics", "data_dir", "listen", "policy", "allowed_lateness", "guarantee", "rules", "trigger", "batch_interval", "allow_control", "faults")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.load(); err != nil {
			return err
		}
		return serve(c.Context(), o, args[0], c.OutOrStdout(), c.ErrOrStderr())
	}
	return c
}

// serve runs an architecture until the context ends. What can go wrong without
// a broker does so first.
func serve(ctx context.Context, o *options, name string, stdout, stderr io.Writer) error {
	logger, err := o.logger(stderr, name)
	if err != nil {
		return usage(err)
	}
	architecture.BoundHeap()
	p := pipelines()[name]
	config, err := serveConfig(o, p, logger)
	if err != nil {
		return usage(err)
	}
	token := os.Getenv(serving.TokenVariable)
	if err := serving.CheckListen(o.text("listen"), token); err != nil {
		return usage(err)
	}
	kafka, err := o.kafka()
	if err != nil {
		return usage(err)
	}
	kafka.ClientID = "archbench-" + name + "-" + o.run()
	l, err := net.Listen("tcp", o.text("listen"))
	if err != nil {
		return runtime(fmt.Errorf("the address to serve at cannot be had: %w", err))
	}
	defer l.Close() // a second time does nothing
	log, err := kafkalog.Open(ctx, kafka)
	if err != nil {
		return runtime(err)
	}
	defer log.Close()
	config.Log = log
	opened, err := p.open(ctx, config)
	if errors.As(err, new(*datadir.Refused)) {
		return usage(err)
	}
	if err != nil {
		return runtime(err)
	}
	a := metered{opened, log, logger}
	var control serving.Control
	if o.flag("allow_control") {
		control = controlOf(opened, config.Faults, p.bugs)
	}
	server, err := serving.NewServer(a, o.text("listen"), token, control)
	if err != nil {
		return usage(err)
	}
	s := a.Status()
	logger.Info("serving", "address", l.Addr().String(), "policy", s.Policy, "guarantee", s.Guarantee, "rules", s.Rules, "coverage", s.Coverage.String())
	if err := follow(ctx, a, server, l, stdout); err != nil {
		logger.Error("ended", "err", err)
		return runtime(err)
	}
	logger.Info("stopped", "coverage", a.Status().Coverage.String())
	return nil
}

// metered is an architecture whose status tells what it has read of the broker,
// and whose log tells what it was asked for.
type metered struct {
	architecture.Architecture
	log    *kafkalog.Log
	logger *slog.Logger
}

// Reprocess implements architecture.Architecture.
func (m metered) Reprocess(ctx context.Context, rules view.Rules) (architecture.Outcome, error) {
	outcome, err := m.Architecture.Reprocess(ctx, rules)
	if err != nil {
		m.logger.Warn("a reprocess was refused", "rules", rules, "err", err)
	} else {
		m.logger.Info("a reprocess was asked for", "rules", rules, "started", outcome == architecture.Started)
	}
	return outcome, err
}

// Status implements architecture.Architecture.
func (m metered) Status() architecture.Status {
	s, received := m.Architecture.Status(), m.log.ReceivedBytes()
	s.BrokerReadBytes = &received
	return s
}

// follow runs the architecture behind the server. At the end the server goes
// first, so that answers under way still find the architecture open.
func follow(ctx context.Context, a architecture.Architecture, server *serving.Server, l net.Listener, stdout io.Writer) error {
	asked, stopServing := context.WithCancel(ctx)
	defer stopServing()
	running, stopRunning := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRunning()
	ran := make(chan error, 1)
	go func() {
		defer stopServing() // an architecture that ended serves no more
		ran <- a.Run(running)
	}()
	err := json.NewEncoder(stdout).Encode(struct {
		Address string `json:"address"`
	}{l.Addr().String()})
	if err == nil {
		err = server.Serve(asked, l)
	}
	stopRunning()
	return errors.Join(err, <-ran)
}

func serveConfig(o *options, p pipeline, logger *slog.Logger) (architecture.Config, error) {
	c := architecture.Config{
		Topics: eventlog.TopicsOf(o.text("topics")), Dir: o.text("data_dir"), Params: o.params(),
		Policy: architecture.Policy(o.text("policy")), Guarantee: architecture.Guarantee(o.text("guarantee")), Lateness: o.duration("allowed_lateness"),
		Trigger: o.duration("trigger"), BatchInterval: o.duration("batch_interval"), CommitInterval: o.duration("commit_interval"), MemoryBytes: o.integer("memory"),
		Logger: logger,
	}
	if err := errors.Join(architecture.CheckSemantics(c.Policy, c.Guarantee), architecture.CheckLateness(c.Lateness), c.Params.Validate()); err != nil {
		return c, err
	}
	for _, needed := range []string{"topics", "data_dir", "bootstrap"} {
		if s, _ := find(needed); o.text(needed) == "" {
			return c, fmt.Errorf("serve needs --%s: %s", s.flag, strings.TrimPrefix(s.meaning, "serve: "))
		}
	}
	for _, positive := range []string{"trigger", "batch_interval", "commit_interval"} {
		if o.duration(positive) <= 0 {
			return c, fmt.Errorf("%s is %s: it must be positive", positive, o.text(positive))
		}
	}
	if c.MemoryBytes <= 0 {
		return c, fmt.Errorf("memory is %d: it must be a positive number of bytes", c.MemoryBytes)
	}
	var err error
	if c.Rules, err = view.ParseRules(int(o.integer("rules"))); err != nil {
		return c, err
	}
	if c.Faults, err = fault.Parse(o.text("faults"), p.crashPoints(c.Guarantee), p.bugs); err != nil {
		return c, err
	}
	c.Faults.Crash = func(string) { // as kill -9: nothing is tidied up
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal is there nothing more is done
	}
	return c, nil
}

// controlOf plants bugs, which works for every architecture, and leaves the rest to those that can.
func controlOf(a architecture.Architecture, faults *fault.Set, bugs []string) serving.Control {
	return func(ctx context.Context, what string, args url.Values) (bool, error) {
		if what == "bug" {
			name := args.Get("name")
			if !slices.Contains(bugs, name) {
				return true, fmt.Errorf("unknown bug %q: known are %s", name, strings.Join(bugs, ", "))
			}
			faults.Plant(name)
			return true, nil
		}
		if c, ok := a.(serving.Controller); ok {
			return c.Control(ctx, what, args)
		}
		return false, nil
	}
}
