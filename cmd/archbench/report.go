package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"archbench/common/durable"
	"archbench/results"
	"archbench/results/render"
)

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Write a run's report again, from its result.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("report needs one directory of a run, such as archbench report results/runs/NAME; %d were given", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			r, err := results.Read(args[0])
			if err != nil {
				return usage(err)
			}
			if err := writeReport(args[0], r); err != nil {
				return runtime(err)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), render.Table(r))
			return err
		},
	}
}

func writeReport(dir string, r *results.Result) error {
	return durable.Replace(filepath.Join(dir, "report.md"), []byte(render.Report(r)))
}
