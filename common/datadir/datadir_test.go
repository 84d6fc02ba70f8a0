package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/datadir"
	"archbench/common/durable"
	"archbench/common/eventlog"
	"archbench/common/view"
)

func open(path string, g architecture.Guarantee) (*datadir.Dir, error) {
	return datadir.Open(path, 1, datadir.Identity{Architecture: "any", Topics: eventlog.TopicsOf("t"), Params: view.DefaultParams(), Guarantee: g},
		func() (int, error) { return 2, nil })
}

func opened(t *testing.T, path string, g architecture.Guarantee) *datadir.Dir {
	t.Helper()
	d, err := open(path, g)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnotherGuaranteeIsRefused(t *testing.T) {
	path := t.TempDir()
	if err := opened(t, path, architecture.AtLeastOnce).Close(); err != nil {
		t.Fatal(err)
	}
	for _, g := range []architecture.Guarantee{architecture.AtMostOnce, architecture.EffectivelyOnce} {
		if _, err := open(path, g); !errors.As(err, new(*datadir.Refused)) || !strings.Contains(err.Error(), "guarantee at-least-once") || !strings.Contains(err.Error(), "another directory") {
			t.Errorf("opened under %s: %v", g, err)
		}
	}
	if err := opened(t, path, architecture.AtLeastOnce).Close(); err != nil {
		t.Error(err)
	}
}

// A directory from before there were lesser guarantees is effectively-once.
func TestDirectoryWithoutGuarantee(t *testing.T) {
	path := t.TempDir()
	if err := opened(t, path, "").Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path, architecture.AtMostOnce); !errors.As(err, new(*datadir.Refused)) || !strings.Contains(err.Error(), "guarantee effectively-once") {
		t.Errorf("opened under at-most-once: %v", err)
	}
	if err := opened(t, path, architecture.EffectivelyOnce).Close(); err != nil {
		t.Error(err)
	}
}

func TestOffsets(t *testing.T) {
	path := t.TempDir()
	d := opened(t, path, architecture.AtLeastOnce)
	defer d.Close()
	state := coverage.Coverage{Orders: coverage.Vector{5, 9}, Customers: coverage.Vector{1, 0}}
	if at, err := d.Offsets(state); err != nil || !at.Equal(coverage.Zero(2)) {
		t.Errorf("before the first time: %s, %v", at, err)
	}
	if err := d.SaveOffsets(state); err != nil {
		t.Fatal(err)
	}
	if at, err := d.Offsets(state); err != nil || !at.Equal(state) {
		t.Errorf("saved %s, read %s, %v", state, at, err)
	}
	less := state.Clone()
	less.Orders[0]--
	refused := func(what string, state coverage.Coverage) {
		t.Helper()
		var damaged *durable.Damaged
		if _, err := d.Offsets(state); !errors.As(err, &damaged) || damaged.Path != filepath.Join(path, "offsets") || !strings.Contains(err.Error(), "remove the data directory") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("offsets beyond the state", less)
	refused("offsets of other partitions", coverage.Zero(3))
	if err := os.WriteFile(filepath.Join(path, "offsets"), []byte("5,9"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("a foreign file", state)
}
