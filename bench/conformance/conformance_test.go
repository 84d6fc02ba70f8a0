package conformance

import (
	"testing"

	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
)

func memory() Backend {
	return Backend{Name: "memory", New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := memlog.New()
		t.Cleanup(func() { l.Close() })
		return l, l
	}}
}

func subject(bug string) Subject {
	return Subject{Name: "reference", Open: openReference(bug), CrashPoints: func(architecture.Guarantee) []string { return referencePoints }, KeepsHistory: true}
}

// The oracle behind the interface passes every case.
func TestReferencePasses(t *testing.T) {
	Run(t, subject(""), memory())
}

// The same under policy bounded.
func TestReferencePassesBounded(t *testing.T) {
	Run(t, subject("").Under(architecture.Bounded), memory())
}

// Each bug in keeping to policy bounded is found, N of N.
func TestSuiteFindsPlantedBugsBounded(t *testing.T) {
	for _, bug := range boundedBugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			found := FoundBy(t, subject(bug).Under(architecture.Bounded), memory())
			if found == "" {
				t.Error("no case found it")
			}
			t.Logf("found by %q", found)
		})
	}
}

// Each bug in writing alerts is found under policy bounded, N of N.
func TestSuiteFindsPlantedBugsOfAlerts(t *testing.T) {
	for _, bug := range alertBugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			found := FoundBy(t, subject(bug).Under(architecture.Bounded), memory())
			if found == "" {
				t.Error("no case found it")
			}
			t.Logf("found by %q", found)
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
			if FoundBy(t, subject(bug), memory()) == "" {
				t.Error("no case found it")
			}
		})
	}
}
