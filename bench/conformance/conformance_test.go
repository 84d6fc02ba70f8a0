package conformance

import (
	"slices"
	"strings"
	"testing"

	"archbench/common/architecture"
)

func subject(bug string) Subject {
	return Subject{Name: "reference", Open: openReference(bug), CrashPoints: func(architecture.Guarantee) []string { return referencePoints }, KeepsHistory: true}
}

// The oracle behind the interface passes every case.
func TestReferencePasses(t *testing.T) {
	Run(t, subject(""), Memory())
}

// The same under policy bounded.
func TestReferencePassesBounded(t *testing.T) {
	Run(t, subject("").Under(architecture.Bounded), Memory())
}

// Each bug in keeping to policy bounded is found, N of N.
func TestSuiteFindsPlantedBugsBounded(t *testing.T) {
	for _, bug := range boundedBugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			found := FoundBy(t, subject(bug).Under(architecture.Bounded), Memory())
			if found == "" {
				t.Error("no case found it")
			}
			t.Logf("found by %q", found)
		})
	}
}

// Each bug in writing alerts is found, under policy bounded, by the cases that are
// about alerts, N of N.
func TestSuiteFindsPlantedBugsOfAlerts(t *testing.T) {
	patient := Memory()
	patient.Patience = bugPatience
	for _, bug := range alertBugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			if !slices.ContainsFunc(Cases(), func(c Case) bool {
				return strings.HasPrefix(c.Name, "alerts") && c.fails(t, subject(bug).Under(architecture.Bounded), patient, 5)
			}) {
				t.Error("no case about alerts found it")
			}
		})
	}
}

// Each planted bug is found by at least one case, N of N.
func TestSuiteFindsPlantedBugs(t *testing.T) {
	for _, bug := range []string{
		"lose a line at restart", "forget the switch", "swallow poison", "letter poison twice", "announce ahead", "ignore deletions", "ignore later profile changes",
		"gap is inclusive", "limit before last", "wrong tie", "a window short", "old coverage with new rows", "count duplicates",
		"drop late lines", "adjustments are money", "fold codes always", "skip what is gone", "go on after the end", "overlook added partitions", "take over any directory",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			if FoundBy(t, subject(bug), Memory()) == "" {
				t.Error("no case found it")
			}
		})
	}
}
