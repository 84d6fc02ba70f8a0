package conformance

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/eventlog"
)

// Subject is an architecture under test.
type Subject struct {
	Name string
	Open func(ctx context.Context, c architecture.Config) (architecture.Architecture, error)
	// Guarantee is what it is run under; empty: effectively-once.
	Guarantee architecture.Guarantee
	// CrashPoints are all places where it can be killed between two steps.
	CrashPoints func(architecture.Guarantee) []string
	// BetweenCommits is the crash point between the commits of state and offsets,
	// which a lesser guarantee passes; empty: the subject has none.
	BetweenCommits string
	// AroundSwitch are those right before and after the record that changes the rules.
	AroundSwitch []string
	// KeepsHistory says that it can reprocess what the log no longer holds.
	KeepsHistory bool
	// HasSeam says that its answers name a seam.
	HasSeam bool
	// Policy is what it is configured with; empty: exact.
	Policy architecture.Policy
	// AlwaysExact says that it keeps to the exact definitions under any policy.
	AlwaysExact bool
}

// Under returns the subject configured with a policy.
func (s Subject) Under(p architecture.Policy) Subject {
	s.Policy = p
	return s
}

// bounded reports whether the subject is judged by policy bounded.
func (s Subject) bounded() bool { return s.Policy == architecture.Bounded && !s.AlwaysExact }

// Backend makes logs to test on.
type Backend struct {
	Name string
	// New returns a log whose topics the case creates; the test closes it.
	New func(t testing.TB) (eventlog.Log, eventlog.Admin)
	// Shared says that the log is shared with others and slow: fewer rounds, and
	// nothing that needs a log of its own.
	Shared bool
	// Patience bounds every wait; it is only reached when something hangs. 0: 90 s.
	Patience time.Duration
}

// defaultPatience is far beyond what any wait takes, on a busy machine too.
const defaultPatience = 90 * time.Second

// Run runs every case as a subtest.
func Run(t *testing.T, s Subject, b Backend) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.run(t, s, b, seed()) })
	}
}

// RunSome runs some cases, by name, as subtests.
func RunSome(t *testing.T, s Subject, b Backend, names ...string) {
	for _, name := range names {
		i := slices.IndexFunc(Cases(), func(c Case) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("there is no case %q", name)
		}
		t.Run(name, func(t *testing.T) { Cases()[i].run(t, s, b, seed()) })
	}
}

// seed is ARCHBENCH_TEST_SEED, else new for every run.
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("ARCHBENCH_TEST_SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64()
}

// Reporter is what a case needs of testing.TB, so that the suite can be tried on
// subjects that must fail.
type Reporter interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// Case is one named demand.
type Case struct {
	Name string
	test func(e *env)
}

// Cases lists the suite.
func Cases() []Case {
	return []Case{
		{"right at every read during ingest", rightDuringIngest},
		{"right after a stop and restart at any point", rightAfterRestart},
		{"same answers for any batching and number of partitions", sameForAnyBatching},
		{"empty, single-event and one-sided histories", smallHistories},
		{"lines on the edges of windows and sessions", edges},
		{"late profile changes, deleted profiles and ties", profiles},
		{"redelivered lines count once, or as often as they come", redelivered},
		{"lateness and known ids on their edges, across a restart", latenessEdges},
		{"a segment stays as it was known", processingTimeJoin},
		{"windows that have closed", closedWindows},
		{"unusable records reach the dead-letter queue", deadLetters},
		{"alerts of every reign of rules", alertsOfEveryReign},
		{"alerts outlast a topic that fails, and a restart", alertsOutlastTheirTopic},
		{"alerts after a crash around a switch", alertsOfCrashedReprocess},
		{"rules 1, 2, 1 while events flow and across a restart", rulesBackAndForth},
		{"outcomes of a reprocess", outcomes},
		{"a stop is clean at once, and nothing goes on after it", stops},
		{"coverage is never ahead of the data", coverageNotAhead},
		{"the seam advances without gap or overlap", seamAdvances},
		{"a log that starts above the position is refused", headGone},
		{"a log that ends below the position is refused", tailGone},
		{"a changed number of partitions is refused", partitionsChanged},
		{"partitions added under it stop it with a sentence", partitionsAdded},
		{"a missing head below the position stops nothing", headGoneBelow},
		{"a data directory of other parameters is refused", otherParameters},
		{"a data directory of another guarantee is refused", otherGuarantee},
		{"right after a crash at every crash point", rightAfterCrash}, // the longest: what others find is found before
	}
}

func (c Case) run(t testing.TB, s Subject, b Backend, seed uint64) {
	c.runOn(t, t, s, b, seed)
}

// runOn runs the case with its verdict going to r and its resources to t.
func (c Case) runOn(t testing.TB, r Reporter, s Subject, b Backend, seed uint64) {
	patience := cmp.Or(b.Patience, defaultPatience)
	s.Guarantee = cmp.Or(s.Guarantee, architecture.EffectivelyOnce)
	ctx, cancel := context.WithTimeout(t.Context(), 8*patience)
	defer cancel()
	e := &env{patience: patience, Reporter: r, t: t, ctx: ctx, subject: s, backend: b, seed: seed, rng: rand.New(rand.NewPCG(seed, 7))}
	defer func() {
		e.stopAll()
		if r.Failed() {
			r.Logf("repeat with ARCHBENCH_TEST_SEED=%d", seed)
		}
	}()
	c.test(e)
}
