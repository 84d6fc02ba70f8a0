// Package archbench holds the rules that concern the whole repository, as tests.
// The program is cmd/archbench.
package archbench
