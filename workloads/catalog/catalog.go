package catalog

import (
	"errors"
	"fmt"
	"strings"

	"archbench/workloads"
	"archbench/workloads/disturb"
	"archbench/workloads/onlineretail"
	"archbench/workloads/synthetic"
)

// The names of sources; the last one begins the name of a file.
const (
	Synthetic    = "synthetic"
	OnlineRetail = "online-retail"
	csvPrefix    = "csv:"
)

// ErrUnknown means that no source has the name.
var ErrUnknown = errors.New("unknown workload")

// Choice says which events are wanted.
type Choice struct {
	Name    string // synthetic, online-retail or csv:PATH
	Path    string // of the online-retail data; empty: the known places
	Seed    uint64 // of synthetic events and of disturbances
	Events  int64  // at most, before any disturbance; 0: all of a file, synthetic ones without end
	Disturb disturb.Params
}

// Check refuses a choice that nothing can come of, before any file is looked at.
func (c Choice) Check() error {
	if c.Name != Synthetic && c.Name != OnlineRetail && !strings.HasPrefix(c.Name, csvPrefix) {
		return fmt.Errorf("%w %q: it may be synthetic, online-retail or csv:PATH", ErrUnknown, c.Name)
	}
	return c.Disturb.Check()
}

// Open opens the source at its first event.
func Open(c Choice) (workloads.Source, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	inner, err := open(c)
	if err != nil {
		return nil, err
	}
	if c.Events > 0 && inner.Events() > c.Events {
		inner = &first{Source: inner, n: c.Events}
	}
	c.Disturb.Seed = c.Seed
	disturbed, err := disturb.Over(inner, c.Disturb)
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return disturbed, nil
}

// open opens the source that disturbances are laid over.
func open(c Choice) (workloads.Source, error) {
	switch path, isCSV := strings.CutPrefix(c.Name, csvPrefix); {
	case isCSV:
		return onlineretail.Open(path, "csv")
	case c.Name == OnlineRetail:
		path, err := onlineretail.Find(c.Path)
		if err != nil {
			return nil, err
		}
		return onlineretail.Open(path, OnlineRetail)
	}
	p := synthetic.DefaultParams()
	p.Seed, p.Events = c.Seed, c.Events
	return synthetic.New(p)
}
