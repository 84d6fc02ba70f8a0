package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"archbench/bench/host"
)

// The test binary is also the process that the tests start: the variable says
// how it behaves.
const role = "TEST_PROCESS_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "serve", "stubborn", "unclean":
		serve(os.Getenv(role))
	case "refuse":
		fmt.Fprintln(os.Stderr, "starting")
		fmt.Fprintln(os.Stderr, "the data directory is another version's")
		os.Exit(1)
	case "mute":
		<-context.Background().Done()
	case "harness":
		harness()
	}
}

func serve(how string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("not the address yet")
	fmt.Printf("{\"address\":%q}\n", l.Addr())
	for range 1000 {
		fmt.Println("what it prints later blocks nothing", strings.Repeat("x", 200))
	}
	fmt.Fprintln(os.Stderr, "serving")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(os.Environ(), "\n"))
	})}
	go server.Serve(l)
	<-ctx.Done()
	switch how {
	case "stubborn":
		<-context.Background().Done()
	case "unclean":
		fmt.Fprintln(os.Stderr, "could not commit")
		os.Exit(3)
	}
	os.Exit(0)
}

// harness starts a child and then panics without any tidying up.
func harness() {
	p, err := start(context.Background(), os.TempDir(), "serve")
	if err != nil {
		panic(err)
	}
	fmt.Println(p.PID())
	panic("a bug in the harness")
}

func start(ctx context.Context, dir, how string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return Start(ctx, []string{"/usr/bin/env", role + "=" + how, self}, dir, filepath.Join(dir, "process.log"), nil)
}

// gone waits until no process has the id.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// zombie: it has ended, and whoever inherited it has not asked how yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// environmentOf asks a process for its environment.
func environmentOf(t *testing.T, p *Process) string {
	t.Helper()
	r, err := http.Get(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestStartAndEnd(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ARCHBENCH_TRIGGER", "9s") // meant for the run: must not reach the process
	t.Setenv("ARCHBENCH_KAFKA_PASSWORD", "secret")
	p, err := start(t.Context(), dir, "serve")
	if err != nil {
		t.Fatal(err)
	}
	all := environmentOf(t, p)
	if strings.Contains(all, "ARCHBENCH_TRIGGER") || !strings.Contains(all, "ARCHBENCH_KAFKA_PASSWORD=secret") {
		t.Errorf("environment of the process:\n%s", all)
	}
	if err := os.WriteFile(filepath.Join(dir, "state"), make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	u, err := p.Usage()
	if err != nil || u.RSS <= 0 || u.RSSPeak < u.RSS/2 || u.Disk < 4096 || u.CPUSeconds < 0 {
		t.Errorf("%+v %v", u, err)
	}
	if err := p.End(); err != nil {
		t.Error(err)
	}
	gone(t, p.PID())
	if log, err := os.ReadFile(filepath.Join(dir, "process.log")); err != nil || !strings.Contains(string(log), "serving") {
		t.Errorf("log %q %v", log, err)
	}
	if _, err := p.Usage(); err == nil {
		t.Error("a process that has ended uses something")
	}
}

func TestEndSaysWhatWasNotClean(t *testing.T) {
	p, err := start(t.Context(), t.TempDir(), "unclean")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "could not commit") {
		t.Errorf("%v", err)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	p, err := start(t.Context(), t.TempDir(), "stubborn")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("%v", err)
	}
	gone(t, p.PID())
	if err := p.Abandon(); err != nil {
		t.Error(err)
	}
}

func TestFailureToStartSaysWhy(t *testing.T) {
	if _, err := start(t.Context(), t.TempDir(), "refuse"); err == nil || !strings.Contains(err.Error(), "another version's") {
		t.Errorf("%v", err)
	}
	if _, err := Start(t.Context(), []string{"/no/such/program"}, t.TempDir(), filepath.Join(t.TempDir(), "log"), nil); err == nil {
		t.Error("a program that is not there was started")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := start(ctx, t.TempDir(), "mute"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a process that never serves: %v", err)
	}
}

// The kernel ends the child when the harness ends in whatever way.
func TestNothingIsLeftAfterAPanic(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), role+"=harness")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("the harness did not panic")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatalf("harness said %q", out)
	}
	gone(t, pid)
}

func TestProcessors(t *testing.T) {
	sets, err := host.Part()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := Start(t.Context(), []string{"/usr/bin/env", role + "=serve", self}, dir, filepath.Join(dir, "log"), sets.Architecture)
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	want := "Cpus_allowed_list:\t" + strconv.Itoa(sets.Architecture[0])
	if !strings.Contains(string(status), want) {
		t.Errorf("the process is not on processors %v:\n%s", sets.Architecture, status)
	}
	if places := fmt.Sprintf("GOMAXPROCS=%d", len(sets.Architecture)+sparePlaces); !strings.Contains(environmentOf(t, p), places) {
		t.Errorf("the process has another number of places than %s", places)
	}
	if err := p.End(); err != nil {
		t.Error(err)
	}
}
