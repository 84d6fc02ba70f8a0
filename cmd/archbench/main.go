// Command archbench runs one order-analytics workload through Lambda, Kappa and
// a unified lakehouse pipeline and measures them with one ruler.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs a command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "archbench: "+strings.ReplaceAll(err.Error(), "\n", "; ")) // errors joined stand in lines
	}
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "archbench",
		Short:         "Measure Lambda, Kappa and a unified lakehouse pipeline on one workload",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(explainFlag)
	root.AddCommand(runCommand(), serveCommand(), reportCommand(), brokerCommand(), workloadCommand(), configCommand(), versionCommand())
	return root
}

// knownCommand refuses a command that there is not and names the nearest.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q: did you mean %q? (archbench --help lists the commands)", args[0], nearest(args[0], names))
}

// noArguments refuses what was meant as a flag, perhaps.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and %q is one: flags begin with --", c.CommandPath(), args[0])
	}
	return nil
}

// explainFlag names the nearest flag to one that there is not.
func explainFlag(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1:
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		return fmt.Errorf("unknown flag --%s: did you mean --%s? (%s --help lists the flags)", unknown.GetSpecifiedName(), nearest(unknown.GetSpecifiedName(), names), c.CommandPath())
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return fmt.Errorf("--%s is %q: it must be true or false", invalid.GetFlag().Name, invalid.GetValue())
	}
	return err
}
