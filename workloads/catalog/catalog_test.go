package catalog_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archbench/workloads"
	"archbench/workloads/catalog"
	"archbench/workloads/disturb"
)

func TestOpen(t *testing.T) {
	lines := filepath.Join(t.TempDir(), "lines.csv")
	if err := os.WriteFile(lines, []byte("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"+
		"536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		catalog.Choice
		id     string
		events int64
	}{
		{catalog.Choice{Name: "synthetic", Seed: 7}, "synthetic", -1},
		{catalog.Choice{Name: "synthetic", Seed: 7, Events: 1000}, "synthetic", 1000},
		{catalog.Choice{Name: "synthetic", Seed: 7, Events: 1000, Disturb: disturb.Params{Poison: 1}}, "synthetic", 2000},
		{catalog.Choice{Name: "csv:" + lines}, "csv", 3}, // the customer's profile and promotion
		{catalog.Choice{Name: "online-retail", Path: lines}, "online-retail", 3},
		{catalog.Choice{Name: "csv:" + lines, Events: 2}, "csv", 2},
		{catalog.Choice{Name: "csv:" + lines, Events: 4}, "csv", 3},
		{catalog.Choice{Name: "csv:" + lines, Disturb: disturb.Params{Duplicates: 1}}, "csv", 4},
	} {
		s, err := catalog.Open(c.Choice)
		if err != nil {
			t.Errorf("%+v: %v", c.Choice, err)
			continue
		}
		if s.Describe().ID != c.id || s.Events() != c.events {
			t.Errorf("%+v: %s with %d events", c.Choice, s.Describe().ID, s.Events())
		}
		var n int64
		for n < 3000 && s.Next(&workloads.Event{}) == nil {
			n++
		}
		if c.events >= 0 && n != c.events {
			t.Errorf("%+v: %d events came", c.Choice, n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The beginning of a file counts its lines behind all profile changes.
func TestFirstEvents(t *testing.T) {
	lines := filepath.Join(t.TempDir(), "lines.csv")
	if err := os.WriteFile(lines, []byte("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"+
		strings.Repeat("536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n", 5)), 0o644); err != nil {
		t.Fatal(err)
	}
	for events, want := range map[int64]int64{1: 0, 2: 0, 3: 1, 6: 4, 7: 5, 8: 5} { // two changes of one customer
		s, err := catalog.Open(catalog.Choice{Name: "csv:" + lines, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		if s.Lines() != want || s.Describe().Parameters["lines"] == "" {
			t.Errorf("%d events: %d lines, want %d; %v", events, s.Lines(), want, s.Describe().Parameters)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The seed of a run is that of its disturbances too.
func TestTheSeedReachesTheDisturbances(t *testing.T) {
	s, err := catalog.Open(catalog.Choice{Name: "synthetic", Seed: 7, Disturb: disturb.Params{Poison: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	if seed := s.Describe().Parameters["disturb.seed"]; seed != "7" {
		t.Errorf("disturb.seed is %q", seed)
	}
}

func TestRefused(t *testing.T) {
	if _, err := catalog.Open(catalog.Choice{Name: "retail"}); !errors.Is(err, catalog.ErrUnknown) {
		t.Error(err)
	}
	if err := (catalog.Choice{Name: "synthetic", Disturb: disturb.Params{Late: 2}}).Check(); err == nil {
		t.Error("a share of 2 is taken")
	}
	if _, err := catalog.Open(catalog.Choice{Name: "csv:/nonexistent/lines.csv"}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := catalog.Open(catalog.Choice{Name: "online-retail", Path: "/nonexistent/lines.csv"}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
