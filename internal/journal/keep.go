package journal

import (
	"errors"
	"os"
	"slices"
	"time"
)

// complainEvery is how often one trouble is logged.
const complainEvery = time.Minute

// A complaint is a trouble that is logged at most once in complainEvery.
type complaint struct{ last time.Time }

func (c *complaint) due() bool {
	if now := time.Now(); c.last.IsZero() || now.Sub(c.last) >= complainEvery {
		c.last = now
		return true
	}
	return false
}

// keep does what requests must not wait for: it makes the next segment, unmaps
// those that are full, writes to the disk, and complains.
func (j *Journal) keep() {
	defer close(j.stopped)
	tick := time.NewTicker(j.cfg.SyncEvery)
	defer tick.Stop()
	var room, disk, lost complaint
	var told int64
	for {
		ticked := false
		select {
		case <-j.stop:
			return
		case <-j.wake:
		case <-tick.C:
			ticked = true
		}
		if err := j.provide(); err != nil && room.due() {
			j.cfg.Logger.Error("the journal of requests cannot grow", "error", err)
		}
		if err := j.settle(ticked); err != nil && disk.due() {
			j.cfg.Logger.Error("the journal of requests is not written to the disk", "error", err)
		}
		if n := j.dropped.Load(); ticked && n != told && lost.due() {
			j.mu.Lock()
			err := j.dropErr
			j.mu.Unlock()
			j.cfg.Logger.Error("records of requests were dropped", "error", err, "records", n-told, "since_start", n)
			told = n
		}
	}
}

// provide makes a spare segment if there is none.
func (j *Journal) provide() error {
	j.mu.Lock()
	wanted, full := j.spare == nil, j.count() >= j.most
	j.mu.Unlock()
	if !wanted {
		return nil
	}
	var s *segment
	err := errFull
	if !full {
		s, err = j.create()
	}
	j.mu.Lock()
	j.spare, j.spareErr = s, err
	j.mu.Unlock()
	j.changed.Broadcast()
	return err
}

// settle writes to the disk what is full and, if it is time, what is being
// written to.
func (j *Journal) settle(timely bool) error {
	j.mu.Lock()
	due := slices.Clone(j.sealed)
	j.sealed = j.sealed[:0]
	if timely && j.active != nil && j.active.synced != j.active.used {
		j.active.synced = j.active.used
		due = append(due, j.active)
	}
	active := j.active
	j.mu.Unlock()
	var errs []error
	for _, s := range due {
		if s != active {
			errs = append(errs, s.unmap())
		}
		// What has been shipped in the meantime is closed.
		if err := s.file.Sync(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
