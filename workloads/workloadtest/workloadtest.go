package workloadtest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"archbench/workloads/onlineretail"
)

// Required reports whether ARCHBENCH_REQUIRE, a comma-separated list, holds what.
func Required(what string) bool {
	return slices.Contains(strings.Split(os.Getenv("ARCHBENCH_REQUIRE"), ","), what)
}

// Path returns the real data's file. Without it the test is skipped, or fails
// where ARCHBENCH_REQUIRE holds data.
func Path(t testing.TB) string {
	t.Helper()
	path, err := onlineretail.Find(os.Getenv("ARCHBENCH_WORKLOAD_PATH"))
	switch {
	case err != nil && Required("data"):
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
	return path
}

// Open opens the real data; the test closes it.
func Open(t testing.TB) *onlineretail.Source {
	t.Helper()
	s, err := onlineretail.Open(Path(t), "online-retail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
