package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"archbench/results"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		all  []int
		want results.CPUSets
	}{
		{[]int{3}, results.CPUSets{Harness: []int{3}, Architecture: []int{3}, SharedCPU: true}},
		{[]int{0, 1}, results.CPUSets{Harness: []int{0}, Architecture: []int{1}}},
		{[]int{2, 5, 6}, results.CPUSets{Harness: []int{2}, Architecture: []int{5, 6}}},
		{[]int{0, 1, 2, 3}, results.CPUSets{Harness: []int{0, 1}, Architecture: []int{2, 3}}},
	} {
		got := split(c.all)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v: %s", c.all, d)
		}
		if !slices.Equal(All(got), c.all) {
			t.Errorf("%v: both sides are %v", c.all, All(got))
		}
	}
}

// Every thread is moved and, afterwards, moved back.
func TestRestrict(t *testing.T) {
	sets, err := Part()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Restrict(All(sets)); err != nil {
			t.Error(err)
		}
	}()
	for _, cpus := range [][]int{sets.Harness, All(sets)} {
		if err := Restrict(cpus); err != nil {
			t.Fatal(err)
		}
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		var set unix.CPUSet
		for range tasks {
			if err := unix.SchedGetaffinity(0, &set); err != nil {
				t.Fatal(err)
			}
			if set.Count() != len(cpus) || !set.IsSet(cpus[0]) {
				t.Errorf("on %d processors, want %v", set.Count(), cpus)
			}
		}
	}
}

func TestTicks(t *testing.T) {
	//                   user nice system idle iowait irq softirq steal guest guest_nice
	a, err := parseTicks("cpu  10 1 5 100 2 0 1 3 7 0")
	if err != nil || a != (Ticks{Total: 122, Steal: 3}) {
		t.Errorf("%+v %v", a, err)
	}
	b := Ticks{Total: a.Total + 200, Steal: a.Steal + 5}
	if got := b.stolenSince(a); got != 2.5 {
		t.Errorf("stolen %f %%, want 2.5", got)
	}
	if got := a.stolenSince(a); got != 0 {
		t.Errorf("within no time: %f", got)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu a b c d e f g h i"} {
		if _, err := parseTicks(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	began, err := ReadTicks()
	if err != nil || began.Total == 0 {
		t.Fatalf("%+v %v", began, err)
	}
	if _, err := StealPercent(began); err != nil {
		t.Error(err)
	}
}

func TestDescribe(t *testing.T) {
	h := Describe()
	if h.Cores < 1 || h.MemoryBytes < 1<<20 || h.Kernel == "" || h.Go == "" || h.OS == "" {
		t.Errorf("%+v", h)
	}
}

func TestDiskBytes(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"one": 10, "a/two": 200, "a/b/three": 3000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := DiskBytes(dir); got != 3210 {
		t.Errorf("%d bytes, want 3210", got)
	}
	if got := DiskBytes(filepath.Join(dir, "not there")); got != 0 {
		t.Errorf("nothing takes %d bytes", got)
	}
}
