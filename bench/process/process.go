package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"archbench/bench/host"
	"archbench/common/child"
)

// Process is a running architecture.
type Process struct {
	*child.Child
	Address string // base URL
	Dir     string // its data directory
	log     *os.File
}

// startPatience bounds the wait for the address, which comes when committed
// state can be asked.
const startPatience = 2 * time.Minute

// sparePlaces is how many places Go's scheduler has beyond processors: one each for a long
// read, for the collector and for a store's compaction. Whoever the network wakes then
// finds a place at once, and the kernel says who of them runs.
const sparePlaces = 3

// Start runs a command and waits for the line with its address. What it logs
// goes to the file at logPath.
func Start(ctx context.Context, command []string, dir, logPath string, cpus []int) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the process log: %w", err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = log
	cmd.Env = environment(os.Environ())
	if len(cpus) > 0 {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+strconv.Itoa(len(cpus)+sparePlaces))
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), log.Close())
	}
	cmd.Stdout = in
	c, err := child.Start(cmd, cpus)
	in.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, out.Close(), log.Close())
	}
	p := &Process{Child: c, Dir: dir, log: log}
	address := make(chan string, 1)
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var said struct {
				Address string `json:"address"`
			}
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Address != "" {
				address <- said.Address
				break
			}
		}
		io.Copy(io.Discard, out) // whatever else it prints must not block it
	}()
	select {
	case a := <-address:
		p.Address = "http://" + a
		return p, nil
	case <-c.Done():
		err = fmt.Errorf("%s ended before it served: %w; its log says: %s", strings.Join(command[:min(3, len(command))], " "), c.Err(), tail(logPath))
	case <-time.After(startPatience):
		err = fmt.Errorf("%s did not serve within %v", strings.Join(command[:min(3, len(command))], " "), startPatience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.Kill(), log.Close())
}

// environment leaves the settings out: variables would win over the file that
// says what is measured. Secrets come by environment alone, and stay.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(assignment string) bool {
		name, _, _ := strings.Cut(assignment, "=")
		secret := name == "ARCHBENCH_TOKEN" || name == "ARCHBENCH_KAFKA_PASSWORD"
		return strings.HasPrefix(name, "ARCHBENCH_") && !strings.HasPrefix(name, "ARCHBENCH_TEST_") && !secret || name == "GOMAXPROCS"
	})
}

// tail is the last line of a log.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return lines[len(lines)-1]
}

// endPatience is how long a process may take to end after SIGTERM.
const endPatience = 30 * time.Second

// End stops the process and closes its log. An end in any other way than the
// clean one is an error.
func (p *Process) End() error {
	err := p.Stop(endPatience)
	if err == nil && p.ExitCode() != 0 {
		err = fmt.Errorf("process %d did not end cleanly: %w; its log says: %s", p.PID(), p.Err(), tail(p.log.Name()))
	}
	return errors.Join(err, p.log.Close())
}

// Abandon ends the process as kill -9 does and closes its log.
func (p *Process) Abandon() error { return errors.Join(p.Kill(), p.log.Close()) }

// Usage is what a process has used so far.
type Usage struct {
	CPUSeconds float64
	RSS        int64 // bytes, at the moment
	RSSPeak    int64 // bytes, the most so far
	Disk       int64 // bytes of the data directory
}

// ForgetPeak begins the peak of resident memory anew.
func (p *Process) ForgetPeak() error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		return fmt.Errorf("begin the memory peak of process %d anew: %w", p.PID(), err)
	}
	return nil
}

// ticksPerSecond is the unit of /proc's processor times, 100 on Linux.
const ticksPerSecond = 100

// Usage reads the kernel's accounts.
func (p *Process) Usage() (Usage, error) {
	u := Usage{Disk: host.DiskBytes(p.Dir)}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return u, fmt.Errorf("read what process %d used: %w", p.PID(), err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return u, fmt.Errorf("/proc/%d/stat has %d fields", p.PID(), len(fields))
	}
	for _, f := range fields[11:13] { // user and system time
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read what process %d used: %w", p.PID(), err)
		}
		u.CPUSeconds += float64(n) / ticksPerSecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return u, fmt.Errorf("read what process %d used: %w", p.PID(), err)
	}
	if u.RSSPeak, err = kilobytes(string(status), "VmHWM:"); err != nil {
		return u, fmt.Errorf("read what process %d used: %w", p.PID(), err)
	}
	if u.RSS, err = kilobytes(string(status), "VmRSS:"); err != nil {
		return u, fmt.Errorf("read what process %d used: %w", p.PID(), err)
	}
	return u, nil
}

// kilobytes finds "name: value kB" and returns bytes.
func kilobytes(status, name string) (int64, error) {
	for line := range strings.Lines(status) {
		if kb, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in it: it has ended", name)
}
