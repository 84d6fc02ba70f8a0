package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	broker "archbench/testcontainers"
	"archbench/testcontainers/brokerenv"
	"archbench/workloads"
	"archbench/workloads/onlineretail"
	"archbench/workloads/synthetic"
)

func brokerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "broker [-- COMMAND ARG…]",
		Short: "Start a broker and print its address; with a command, run that beside it and end with its exit code",
	}
	o := newOptions(c, "broker", "bootstrap")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.load(); err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return runtime(fmt.Errorf("find this program: %w", err))
		}
		b, err := broker.Start(c.Context(), broker.Options{Kind: o.text("broker"), Bootstrap: o.list("bootstrap"), Embedded: []string{self, "broker", "serve-embedded"}})
		if err != nil {
			return runtime(err)
		}
		i := b.Info()
		for _, why := range i.Because {
			fmt.Fprintln(os.Stderr, "passed over "+why)
		}
		fmt.Fprintf(os.Stderr, "%s %s (%s) at %s\n", i.Product, i.Version, i.Kind, strings.Join(b.Bootstrap(), ","))
		if len(args) == 0 {
			fmt.Println(strings.Join(b.Bootstrap(), ","))
			<-c.Context().Done()
			return b.Close()
		}
		return errors.Join(beside(b, args), b.Close())
	}
	c.AddCommand(&cobra.Command{
		Use: "serve-embedded DIR ADDRESS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := broker.ServeEmbedded(c.Context(), args[0], args[1]); err != nil {
				return runtime(err)
			}
			return nil
		},
	})
	return c
}

// beside runs a command that finds a real broker's address in its environment.
func beside(b broker.Broker, args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = os.Environ()
	if b.Info().Real() {
		cmd.Env = append(cmd.Env, brokerenv.Bootstrap+"="+strings.Join(b.Bootstrap(), ","))
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &failure{max(exit.ExitCode(), exitUsage), fmt.Errorf("%s: %w", args[0], err)}
	}
	if err != nil {
		return runtime(err)
	}
	return nil
}

func workloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "workload",
		Short: "Describe a workload and print its first events as JSON lines",
		Args:  cobra.NoArgs,
	}
	o := newOptions(c, "workload.source", "seed", "events")
	c.RunE = func(_ *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		s, err := openWorkload(o)
		if err != nil {
			return usage(err)
		}
		defer s.Close()
		d := s.Describe()
		fmt.Fprintf(os.Stderr, "%s: %s; %d lines; parameters %v %s\n", d.ID, d.Source, s.Lines(), d.Parameters, d.Note)
		n := o.integer("events")
		if err := o.check(); err != nil {
			return err
		}
		if n == 0 {
			n = 10
		}
		return dump(s, n)
	}
	return c
}

func openWorkload(o *options) (workloads.Source, error) {
	switch path, isCSV := strings.CutPrefix(o.text("workload.source"), "csv:"); {
	case o.text("workload.source") == "synthetic":
		p := synthetic.DefaultParams()
		p.Seed = uint64(o.integer("seed"))
		return synthetic.New(p)
	case o.text("workload.source") == "online-retail":
		path, err := onlineretail.Find(o.text("workload.path"))
		if err != nil {
			return nil, err
		}
		return onlineretail.Open(path, "online-retail")
	case isCSV:
		return onlineretail.Open(path, "csv")
	}
	return nil, fmt.Errorf("unknown workload %q: it may be synthetic, online-retail or csv:PATH", o.text("workload.source"))
}

func dump(s workloads.Source, n int64) error {
	out := bufio.NewWriter(os.Stdout)
	var e workloads.Event
	for range n {
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return runtime(err)
		}
		fmt.Fprintf(out, "%s\n", e.AppendValue(nil, 0))
	}
	return out.Flush()
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show every setting: its effective value, where that comes from, and what it means",
		Args:  cobra.NoArgs,
	}
	o := newOptions(c)
	c.RunE = func(_ *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tVALUE\tFROM\tMEANING")
		for _, s := range settings() {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.key, o.text(s.key), o.source(s), s.meaning)
		}
		return w.Flush()
	}
	return c
}
