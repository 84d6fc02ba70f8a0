package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
)

// logger logs to w. Every line has the run that the process belongs to, so that
// the logs of all processes of a run can be put together, and what it serves.
func (o *options) logger(w io.Writer, architecture string) (*slog.Logger, error) {
	var h slog.Handler
	switch format := o.text("log_format"); format {
	case "text":
		h = slog.NewTextHandler(w, nil)
	case "json":
		h = slog.NewJSONHandler(w, nil)
	default:
		return nil, fmt.Errorf("log_format is %q: it may be text or json", format)
	}
	return slog.New(h).With("run", o.run(), "architecture", architecture, "topics", o.text("topics")), nil
}

// run is the id of the run, made up for a process that belongs to none.
func (o *options) run() string {
	if o.runID == "" {
		o.runID = o.text("run_id")
	}
	if o.runID == "" {
		o.runID = rand.Text()[:8]
	}
	return o.runID
}
