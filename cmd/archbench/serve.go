package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
	crashPoints []string
	bugs        []string
}

func pipelines() map[string]pipeline {
	return map[string]pipeline{
		"lambda":  {opener(lambda.Open), lambda.CrashPoints(), lambda.Bugs()},
		"kappa":   {opener(kappa.Open), kappa.CrashPoints(), kappa.Bugs()},
		"unified": {opener(unified.Open), unified.CrashPoints(), unified.Bugs()},
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
		Args:  cobra.ExactArgs(1),
	}
	o := newOptions(c, "bootstrap", "topics", "data_dir", "listen", "policy", "guarantee", "rules", "trigger", "batch_interval", "allow_control", "faults")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.load(); err != nil {
			return err
		}
		return serve(c.Context(), o, args[0])
	}
	return c
}

// serve runs the named architecture until the context ends.
func serve(ctx context.Context, o *options, name string) error {
	p, ok := pipelines()[name]
	if !ok {
		return usage(fmt.Errorf("unknown architecture %q: this version serves lambda, kappa and unified", name))
	}
	config, err := serveConfig(o, p)
	if err != nil {
		return usage(err)
	}
	log, err := kafkalog.Open(ctx, kafkalog.Config{Bootstrap: o.list("bootstrap")})
	if err != nil {
		return runtime(err)
	}
	defer log.Close()
	config.Log = log
	a, err := p.open(ctx, config)
	if errors.As(err, new(*datadir.Refused)) {
		return usage(err)
	}
	if err != nil {
		return runtime(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.Go(func() error {
		defer stop() // an architecture that ended serves no more
		return a.Run(ctx)
	})
	if err := listen(ctx, g, o, a); err != nil {
		stop()
		return errors.Join(err, g.Wait())
	}
	if err := g.Wait(); err != nil {
		return runtime(err)
	}
	return nil
}

func listen(ctx context.Context, g *errgroup.Group, o *options, a architecture.Architecture) error {
	server, err := serving.NewServer(a, o.text("listen"), os.Getenv(serving.TokenVariable), nil)
	if err != nil {
		return usage(err)
	}
	l, err := net.Listen("tcp", o.text("listen"))
	if err != nil {
		return runtime(fmt.Errorf("listen: %w", err))
	}
	g.Go(func() error { return server.Serve(ctx, l) })
	return json.NewEncoder(os.Stdout).Encode(struct {
		Address string `json:"address"`
	}{l.Addr().String()})
}

func serveConfig(o *options, p pipeline) (architecture.Config, error) {
	c := architecture.Config{
		Topics: eventlog.TopicsOf(o.text("topics")), Dir: o.text("data_dir"), Params: o.params(),
		Policy: architecture.Policy(o.text("policy")), Guarantee: architecture.Guarantee(o.text("guarantee")),
		Trigger: o.duration("trigger"), BatchInterval: o.duration("batch_interval"), MemoryBytes: o.integer("memory"),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	rules := o.integer("rules")
	if err := o.check(); err != nil {
		return c, err
	}
	var err error
	if c.Rules, err = view.ParseRules(int(rules)); err != nil {
		return c, err
	}
	for _, needed := range []string{"topics", "data_dir", "bootstrap"} {
		if o.text(needed) == "" {
			return c, fmt.Errorf("serve needs %s", needed)
		}
	}
	if err := errors.Join(architecture.CheckSemantics(c.Policy, c.Guarantee), c.Params.Validate()); err != nil {
		return c, err
	}
	if c.Faults, err = fault.Parse(o.text("faults"), p.crashPoints, p.bugs); err != nil {
		return c, err
	}
	c.Faults.Crash = func(string) { // as kill -9: nothing is tidied up
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return c, nil
}
