package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"archbench/workloads"
	"archbench/workloads/catalog"
	"archbench/workloads/onlineretail"
)

// firstEvents is how many events of a workload are shown unless told otherwise.
const firstEvents = 10

func workloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "workload",
		Short: "Describe a workload (on stderr) and print its first events as JSON lines",
		Args:  noArguments,
	}
	o := newOptions(c, "workload.source", "seed", "events")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		n := o.integer("events")
		if n < 0 {
			return usage(fmt.Errorf("events is %d: it must not be negative", n))
		}
		if n == 0 {
			n = firstEvents
		}
		choice := catalog.Choice{Name: o.text("workload.source"), Path: o.text("workload.path"), Seed: uint64(o.integer("seed")), Disturb: o.disturbances()}
		choice.Disturb.HalfWay = n / 2
		if err := choice.Check(); err != nil {
			return usage(err)
		}
		s, err := catalog.Open(choice)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, onlineretail.ErrNotFound) {
			return usage(err)
		}
		if err != nil {
			return runtime(err)
		}
		defer s.Close()
		describe(c.ErrOrStderr(), s)
		return dump(c.OutOrStdout(), s, n)
	}
	return c
}

func describe(w io.Writer, s workloads.Source) {
	d := s.Describe()
	fmt.Fprintf(w, "%s: %s\n", d.ID, d.Source)
	if lines := s.Lines(); lines < 0 {
		fmt.Fprintln(w, "order lines: without end")
	} else {
		fmt.Fprintf(w, "order lines: %d\n", lines)
	}
	if d.SHA256 != "" {
		fmt.Fprintf(w, "SHA-256: %s\n", d.SHA256)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		fmt.Fprintf(w, "%s: %s\n", name, d.Parameters[name])
	}
	if d.Note != "" {
		fmt.Fprintln(w, d.Note)
	}
}

// dump prints the values of the first n events, as they would be sent.
func dump(w io.Writer, s workloads.Source, n int64) error {
	out := bufio.NewWriter(w)
	var e workloads.Event
	for range n {
		if err := s.Next(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return runtime(errors.Join(err, out.Flush()))
		}
		if _, err := fmt.Fprintf(out, "%s\n", e.AppendValue(nil, 0)); err != nil {
			return runtime(fmt.Errorf("print events: %w", err))
		}
	}
	if err := out.Flush(); err != nil {
		return runtime(fmt.Errorf("print events: %w", err))
	}
	return nil
}
