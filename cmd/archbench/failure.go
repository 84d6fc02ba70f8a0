package main

import "errors"

// The exit codes.
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

func usage(err error) error      { return &failure{exitUsage, err} }
func runtime(err error) error    { return &failure{exitRuntime, err} }
func gateFailed(err error) error { return &failure{exitGate, err} }
func diverged(err error) error   { return &failure{exitDivergence, err} }

// exitCode is the one place where an error becomes a code.
func exitCode(err error) int {
	var f *failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &f):
		return f.code
	}
	return exitUsage // cobra's own: an unknown command or flag
}
