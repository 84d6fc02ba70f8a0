package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	broker "archbench/testcontainers"
	"archbench/testcontainers/brokerenv"
)

// besidePatience is how long a command beside a broker may take to end after Ctrl-C.
const besidePatience = time.Minute

func brokerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "broker [-- COMMAND ARG…]",
		Short: "Start a broker and print its address; with a command, run that beside it and end with its exit code",
		Args:  cobra.ArbitraryArgs,
	}
	o := newOptions(c, "broker", "bootstrap")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 && c.ArgsLenAtDash() != 0 {
			return usage(fmt.Errorf("unknown argument %q: a command to run beside the broker comes after --", args[0]))
		}
		if err := o.load(); err != nil {
			return err
		}
		b, err := startBroker(c.Context(), o)
		if err != nil {
			return err
		}
		i := b.Info()
		for _, why := range i.Because {
			fmt.Fprintln(c.ErrOrStderr(), "passed over "+why)
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s %s (%s) at %s\n", i.Product, i.Version, i.Kind, strings.Join(b.Bootstrap(), ","))
		if len(args) == 0 {
			fmt.Fprintln(c.OutOrStdout(), strings.Join(b.Bootstrap(), ","))
			<-c.Context().Done()
			return closed(b)
		}
		return errors.Join(beside(c, b, args), closed(b))
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

func startBroker(ctx context.Context, o *options) (broker.Broker, error) {
	options, err := brokerOptions(o)
	if err != nil {
		return nil, usage(err)
	}
	b, err := broker.Start(ctx, options)
	if err != nil {
		return nil, runtime(err)
	}
	return b, nil
}

// brokerOptions reads which broker to start, and refuses what cannot be one.
func brokerOptions(o *options) (broker.Options, error) {
	kinds := []string{broker.Auto, broker.Container, broker.Local, broker.Embedded, broker.External}
	b := broker.Options{Kind: o.text("broker"), Bootstrap: o.list("bootstrap")}
	switch {
	case !slices.Contains(kinds, b.Kind):
		return b, fmt.Errorf("unknown kind of broker %q: did you mean %q? (the kinds are %s)", b.Kind, nearest(b.Kind, kinds), strings.Join(kinds, ", "))
	case b.Kind == broker.External && len(b.Bootstrap) == 0:
		return b, errors.New("--broker external needs --bootstrap HOST:PORT,…")
	case b.Kind != broker.External && len(b.Bootstrap) > 0:
		return b, fmt.Errorf("--bootstrap is given and the broker is %s: use --broker external", b.Kind)
	case b.Kind != broker.External:
		for _, key := range []string{"kafka.tls", "kafka.ca", "kafka.sasl", "kafka.user", "kafka.password_file"} {
			if s, _ := find(key); o.text(key) != s.value {
				return b, fmt.Errorf("%s is %s and the broker is %s: it is for --broker external", key, o.text(key), b.Kind)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return b, fmt.Errorf("find this program: %w", err)
	}
	b.Embedded = []string{self, "broker", "serve-embedded"}
	b.Client, err = o.kafka()
	return b, err
}

func closed(b broker.Broker) error {
	if err := b.Close(); err != nil {
		return runtime(fmt.Errorf("end the broker: %w", err))
	}
	return nil
}

// beside runs a command that finds a real broker's address in its environment.
func beside(c *cobra.Command, b broker.Broker, args []string) error {
	cmd := exec.CommandContext(c.Context(), args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = besidePatience
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	cmd.Env = os.Environ()
	if b.Info().Real() {
		cmd.Env = append(cmd.Env, brokerenv.Bootstrap+"="+strings.Join(b.Bootstrap(), ","))
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return &failure{max(exit.ExitCode(), exitUsage), fmt.Errorf("%s: %w", args[0], err)}
	case errors.Is(err, exec.ErrNotFound):
		return usage(err)
	case err != nil:
		return runtime(fmt.Errorf("%s: %w", args[0], err))
	}
	return nil
}
