package fault

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrCrash is what Point returns where a crash was asked for. Code that gets it
// stops at once and writes nothing more, as if killed.
var ErrCrash = errors.New("planted crash")

// Set is the faults of one process or one test. A nil Set has none.
type Set struct {
	// Crash is called at a crash point that is due, before Point returns
	// ErrCrash; a process kills itself there. Nil: nothing.
	Crash func(point string)

	mu     sync.Mutex
	points map[string]int // passages left until the crash
	passed map[string]int // how often each point was passed
	bugs   map[string]bool
}

// NewSet returns a Set without faults.
func NewSet() *Set {
	return &Set{points: map[string]int{}, passed: map[string]int{}, bugs: map[string]bool{}}
}

// Parse reads a list such as "kappa.after-commit=3,bug:skip-late": crash at the
// third passage of a point (=1 if left out), or plant a bug. Names are checked
// against those known.
func Parse(spec string, points, bugs []string) (*Set, error) {
	s := NewSet()
	for _, item := range strings.FieldsFunc(spec, func(r rune) bool { return r == ',' }) {
		if bug, ok := strings.CutPrefix(item, "bug:"); ok {
			if !slices.Contains(bugs, bug) {
				return nil, fmt.Errorf("unknown bug %q: known are %s", bug, strings.Join(bugs, ", "))
			}
			s.Plant(bug)
			continue
		}
		point, count, counted := strings.Cut(item, "=")
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(count); err != nil || n < 1 {
				return nil, fmt.Errorf("crash point %q: %q is not a positive number of passages", point, count)
			}
		}
		if !slices.Contains(points, point) {
			return nil, fmt.Errorf("unknown crash point %q: known are %s", point, strings.Join(points, ", "))
		}
		s.CrashAt(point, n)
	}
	return s, nil
}

// CrashAt asks for a crash at the nth passage of point from now on.
func (s *Set) CrashAt(point string, nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points[point] = nth
}

// Plant switches a planted bug on.
func (s *Set) Plant(bug string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bugs[bug] = true
}

// Point marks a place between two steps of a commit. It returns ErrCrash when a
// crash was asked for here and now, otherwise nil.
func (s *Set) Point(name string) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.passed[name]++
	left, asked := s.points[name]
	due := asked && left == 1
	if due {
		delete(s.points, name)
	} else if asked {
		s.points[name] = left - 1
	}
	s.mu.Unlock()
	if !due {
		return nil
	}
	if s.Crash != nil {
		s.Crash(name)
	}
	return fmt.Errorf("%w at %s", ErrCrash, name)
}

// Passed returns how often a point was passed: the proof that a fault came.
func (s *Set) Passed(point string) int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed[point]
}

// Bug reports whether a planted bug is on.
func (s *Set) Bug(name string) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bugs[name]
}
