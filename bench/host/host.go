package host

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"archbench/results"
)

// Describe says what machine this is.
func Describe() results.Host {
	h := results.Host{CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), OS: osName(), Go: runtime.Version()}
	if kb, err := strconv.ParseInt(strings.Fields(field("/proc/meminfo", "MemTotal") + " 0")[0], 10, 64); err == nil {
		h.MemoryBytes = kb << 10
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return h
}

func osName() string {
	return strings.Trim(strings.TrimPrefix(line("/etc/os-release", "PRETTY_NAME="), "PRETTY_NAME="), `"`)
}

// field finds "name : value" in one of /proc's files.
func field(path, name string) string {
	_, value, _ := strings.Cut(line(path, name), ":")
	return strings.TrimSpace(value)
}

func line(path, prefix string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), prefix) {
			return s.Text()
		}
	}
	return ""
}

// Part divides the processors that this process may use: the lower half for the
// harness and the broker, the upper half for the architecture. With one they share.
func Part() (results.CPUSets, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return results.CPUSets{}, fmt.Errorf("read the processors of this process: %w", err)
	}
	var all []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return split(all), nil
}

func split(all []int) results.CPUSets {
	if len(all) < 2 {
		return results.CPUSets{Harness: all, Architecture: all, SharedCPU: true}
	}
	return results.CPUSets{Harness: all[:len(all)/2], Architecture: all[len(all)/2:]}
}

// All are the processors of both sides.
func All(s results.CPUSets) []int {
	if s.SharedCPU {
		return s.Harness
	}
	return slices.Concat(s.Harness, s.Architecture)
}

// Restrict puts every thread of this process on the processors; threads that
// come later inherit it. The scheduler gets one place more than processors, so
// that the kernel can let what was woken run beside what computes.
func Restrict(cpus []int) error {
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	for { // a thread that was not restricted yet may have started another
		changed, err := restrictThreads(&set)
		if err != nil {
			return fmt.Errorf("restrict this process to processors %v: %w", cpus, err)
		}
		if !changed {
			break
		}
	}
	runtime.GOMAXPROCS(len(cpus) + 1)
	return nil
}

// restrictThreads reports whether any thread was elsewhere.
func restrictThreads(want *unix.CPUSet) (changed bool, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		var is unix.CPUSet
		if err := unix.SchedGetaffinity(tid, &is); err == nil && is == *want {
			continue
		}
		if err := unix.SchedSetaffinity(tid, want); err != nil && err != unix.ESRCH {
			return false, fmt.Errorf("thread %d: %w", tid, err)
		}
		changed = true
	}
	return changed, nil
}

// Ticks are processor times since boot, in the kernel's ticks.
type Ticks struct{ Total, Steal int64 }

// ReadTicks reads the processors' times.
func ReadTicks() (Ticks, error) { return parseTicks(line("/proc/stat", "cpu ")) }

func parseTicks(line string) (Ticks, error) {
	fields := strings.Fields(line)
	var t Ticks
	if len(fields) < 9 {
		return t, fmt.Errorf("read processor times: /proc/stat says %q", line)
	}
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if i == 0 || i > 8 { // the name; guest times are counted in user time already
			continue
		}
		if err != nil {
			return t, fmt.Errorf("read processor times: %w", err)
		}
		t.Total += n
		if i == 8 {
			t.Steal = n
		}
	}
	return t, nil
}

// StealPercent is the share of the time since began that the machine's host took away.
func StealPercent(began Ticks) (float64, error) {
	now, err := ReadTicks()
	if err != nil {
		return 0, err
	}
	return now.stolenSince(began), nil
}

func (t Ticks) stolenSince(began Ticks) float64 {
	if t.Total <= began.Total {
		return 0
	}
	return 100 * float64(t.Steal-began.Steal) / float64(t.Total-began.Total)
}

// DiskBytes is what a folder's files take.
func DiskBytes(dir string) int64 {
	var sum int64
	// Files come and go while the architecture runs: what is gone counts nothing.
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
