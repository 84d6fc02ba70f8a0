// Command archbench runs one order-analytics workload through Lambda, Kappa and
// a unified lakehouse pipeline and measures them with one ruler.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone       = 0
	exitUsage      = 1 // knowable from command line, files and configuration
	exitRuntime    = 2 // met while running
	exitGate       = 3 // a gate failed under --strict
	exitDivergence = 4 // a wrong row where there must be none
)

// failure is an error with the exit code that it means.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(err error) error   { return &failure{exitUsage, err} }
func runtime(err error) error { return &failure{exitRuntime, err} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute runs a command line and returns the exit code.
func execute(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:           "archbench",
		Short:         "Measure Lambda, Kappa and a unified lakehouse pipeline on one workload",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(runCommand(), serveCommand(), reportCommand(), brokerCommand(), workloadCommand(), configCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, "archbench: "+err.Error())
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitUsage // cobra's own: an unknown command or flag
}
