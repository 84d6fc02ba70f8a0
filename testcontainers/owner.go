package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner names this process for what it leaves lying about: boot, pid namespace,
// pid and start time. A pid alone would be taken over by another process.
func owner() (string, error) {
	boot, namespace, err := here()
	if err != nil {
		return "", err
	}
	began, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	return strings.Join([]string{boot, namespace, strconv.Itoa(os.Getpid()), began}, "/"), nil
}

// here names this boot of the machine and this process's pid namespace.
func here() (boot, namespace string, err error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", fmt.Errorf("read the boot's id: %w", err)
	}
	if namespace, err = os.Readlink("/proc/self/ns/pid"); err != nil {
		return "", "", fmt.Errorf("read the pid namespace: %w", err)
	}
	return strings.TrimSpace(string(text)), namespace, nil
}

// startTime is when a process started, in ticks since the boot.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", fmt.Errorf("read the state of process %d: %w", pid, err)
	}
	behindName := string(stat[strings.LastIndexByte(string(stat), ')')+1:]) // the name may hold blanks
	fields := strings.Fields(behindName)
	const started = 22 - 3 // field 22 of proc(5); the first one behind the name is field 3
	if len(fields) <= started {
		return "", fmt.Errorf("the state of process %d has only %d fields", pid, len(fields))
	}
	return fields[started], nil
}

// gone reports whether an owner has certainly ended. One in another pid
// namespace, or one that is not understood, may live.
func gone(name string) (bool, error) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 {
		return false, nil
	}
	boot, namespace, err := here()
	if err != nil {
		return false, err
	}
	if parts[0] != boot {
		return true, nil
	}
	pid, err := strconv.Atoi(parts[2])
	if err != nil || parts[1] != namespace {
		return false, nil
	}
	began, err := startTime(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && began != parts[3], err
}

const (
	dirPattern = "archbench-broker-*"
	ownerFile  = "owner"
)

// workDir makes a directory for a broker's data: below o.Dir, or temporary.
// Those of owners that are gone are removed first.
func workDir(o Options) (string, error) {
	base := o.Dir
	if base == "" {
		base = os.TempDir()
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("make the broker's directory: %w", err)
	}
	if err := sweepDirs(base); err != nil {
		o.Logger.Warn("data of an earlier run may be left", "err", err)
	}
	name, err := owner()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(base, dirPattern)
	if err != nil {
		return "", fmt.Errorf("make the broker's directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ownerFile), []byte(name), 0o644); err != nil {
		return "", errors.Join(fmt.Errorf("mark the broker's directory: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

func sweepDirs(base string) error {
	dirs, err := filepath.Glob(filepath.Join(base, dirPattern))
	if err != nil {
		return fmt.Errorf("list the directories of brokers: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		name, err := os.ReadFile(filepath.Join(dir, ownerFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue // just being made
		}
		if err == nil {
			var over bool
			if over, err = gone(string(name)); over {
				err = os.RemoveAll(dir)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
