package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test binary the program itself.
const asProgram = "ARCHBENCH_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a command line of this program in a process of its own.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return command(t, self, append([]string{asProgram + "=1"}, env...), args)
}

// withoutRace is a command line of this program, built without the race detector
// whatever these tests are built with: what takes half a minute takes minutes
// with it, and the packages have it in their own tests.
func withoutRace(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "archbench")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build archbench: %v\n%s", err, out)
	}
	return command(t, binary, nil, args)
}

func command(t *testing.T, binary string, env, args []string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // clean-ups, which end it gently, come after t.Context
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, binary, args...)
	c.Env = append(os.Environ(), env...)
	c.Dir = t.TempDir()
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// outcome runs a command to its end.
func outcome(t *testing.T, c *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	c.Stdout, c.Stderr = &out, &errors
	err := c.Run()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errors.String()
}

// inProcess runs a command line here.
func inProcess(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = execute(t.Context(), args, &out, &errors)
	return code, out.String(), errors.String()
}

// sentence checks that what a failure says is one line with all the parts.
func sentence(t *testing.T, args []string, stderr string, parts ...string) {
	t.Helper()
	text := strings.TrimSuffix(stderr, "\n")
	last := text[strings.LastIndex(text, "\n")+1:]
	if !strings.HasPrefix(last, "archbench: ") {
		t.Errorf("%q says %q", args, stderr)
	}
	for _, p := range parts {
		if !strings.Contains(last, p) {
			t.Errorf("%q says %q, which lacks %q", args, last, p)
		}
	}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// started is a serve process that has said where it serves.
type started struct {
	*exec.Cmd
	address string
	stderr  *bytes.Buffer
}

// start starts a command and waits for the line with its address.
func start(t *testing.T, c *exec.Cmd) *started {
	t.Helper()
	s := &started{Cmd: c, stderr: &bytes.Buffer{}}
	c.Stderr = s.stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() }) // it may have ended
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var said struct{ Address string }
		if json.Unmarshal(lines.Bytes(), &said) == nil && said.Address != "" {
			s.address = "http://" + said.Address
			return s
		}
	}
	c.Wait()
	t.Fatalf("%q did not serve: %s", c.Args[1:], s.stderr)
	return nil
}

// stop ends it as its owner would and returns the exit code.
func (s *started) stop(t *testing.T) int {
	t.Helper()
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.Wait() // its error is the exit code
	return s.ProcessState.ExitCode()
}
