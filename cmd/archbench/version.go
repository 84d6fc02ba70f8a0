package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which commit this program was built from, with which Go",
		Args:  noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			commit, dirty := revision()
			switch {
			case commit == "":
				commit = "built without version control"
			case dirty:
				commit += ", with changes"
			}
			goVersion := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				goVersion = info.GoVersion
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "archbench %s, %s\n", commit, goVersion)
			return err
		},
	}
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
