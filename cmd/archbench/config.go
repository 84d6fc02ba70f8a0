package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show every setting: its effective value, where that comes from, and what it means",
		Args:  noArguments,
	}
	var keys []string
	for _, s := range settings() {
		if s.flag != "" {
			keys = append(keys, s.key)
		}
	}
	o := newOptions(c, keys...)
	asFile := c.Flags().Bool("yaml", false, "print a configuration file with the effective values, for --config")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.load(); err != nil {
			return err
		}
		if *asFile {
			content, err := configFile(o.text)
			if err != nil {
				return runtime(err)
			}
			_, err = c.OutOrStdout().Write(content)
			return err
		}
		return o.show(c)
	}
	return c
}

func (o *options) show(c *cobra.Command) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tVALUE\tFROM\tVARIABLE\tMEANING")
	for _, s := range settings() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.key, o.text(s.key), o.source(s), s.variable(), s.meaning)
	}
	return w.Flush()
}

// configFile writes a commented configuration file with the values given.
func configFile(value func(key string) string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# A configuration of archbench, for --config. Precedence: command line, ARCHBENCH_* variables, this file, defaults.\n" +
		"# Each key is followed on its comment by the flag, if it has one, and the variable that win over it here.\n")
	group := ""
	for _, s := range settings() {
		name, indent := s.key, ""
		if g, rest, nested := strings.Cut(s.key, "."); nested {
			name, indent = rest, "  "
			if g != group {
				fmt.Fprintf(&b, "%s:\n", g)
			}
			group = g
		}
		var v any = value(s.key)
		if s.kind != text && s.kind != list { // bare, so that a reader sees a number
			v = &yaml.Node{Kind: yaml.ScalarNode, Value: value(s.key)}
		}
		line, err := yaml.Marshal(map[string]any{name: v})
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", s.key, err)
		}
		fmt.Fprintf(&b, "%s# %s [%s]\n%s%s", indent, s.meaning, strings.Join(s.elsewhere(), ", "), indent, line)
	}
	return b.Bytes(), nil
}
