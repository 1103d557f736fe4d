//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cores counts the machine's CPUs, whatever this process may use of them.
func cores() int {
	dirs, err := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*")
	if err != nil || len(dirs) == 0 {
		return 1
	}
	return len(dirs)
}

// targetCPU is the CPU that the target under test has for itself.
func targetCPU() string { return strconv.Itoa(cores() - 1) }

// loadCPUs are all the others, or the only one there is.
func loadCPUs() string {
	switch n := cores(); n {
	case 1, 2:
		return "0"
	default:
		return "0-" + strconv.Itoa(n-2)
	}
}

// onCPUs returns what to put before a command so that it runs on these CPUs.
func onCPUs(list string) []string { return []string{"taskset", "-c", list} }

// ticks is how many clock ticks a second has in /proc: it is 100 on every
// architecture that Linux and Go share.
const ticks = 100

// cpuTime returns the user and system time that a process and its children
// have used.
func cpuTime(pid int) (time.Duration, error) {
	var total int64
	err := family(pid, func(fields []string) error {
		for _, field := range fields[11:13] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	return time.Duration(total) * time.Second / ticks, err
}

// resident returns how much memory of a process and its children is resident,
// in bytes. What they share is counted for each.
func resident(pid int) (int64, error) {
	var pages int64
	err := family(pid, func(fields []string) error {
		n, err := strconv.ParseInt(fields[21], 10, 64)
		pages += n
		return err
	})
	return pages * int64(os.Getpagesize()), err
}

// family calls f with the fields of /proc/PID/stat, from the third on, of a
// process and each of its children.
func family(pid int, f func(fields []string) error) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	found := false
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// The name in parentheses may have anything in it.
		end := bytes.LastIndexByte(stat, ')')
		fields := strings.Fields(string(stat[end+1:]))
		self := strings.HasPrefix(string(stat), strconv.Itoa(pid)+" ")
		if len(fields) < 22 || !self && fields[1] != strconv.Itoa(pid) {
			continue
		}
		found = found || self
		if err := f(fields); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	if !found {
		return fmt.Errorf("process %d is gone", pid)
	}
	return nil
}
