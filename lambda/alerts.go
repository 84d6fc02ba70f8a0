package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"archbench/common/alerts"
	"archbench/common/batch"
	"archbench/common/durable"
	"archbench/common/view"
)

const (
	alertsName    = "alerts"
	alertsVersion = 1
)

func (l *Lambda) alertsPath() string { return filepath.Join(l.c.Dir, alertsName) }

// keepAlerts makes the alerts that wait durable, if others did before. It comes
// before the lines that raised them are named in the manifest: those that are not
// named are read again, and raise theirs again.
func (l *Lambda) keepAlerts() error {
	l.keeping.Lock()
	defer l.keeping.Unlock()
	waiting, change := l.alerts.Waiting()
	if change == l.kept {
		return nil
	}
	content, err := json.Marshal(waiting)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	if err := durable.Save(l.alertsPath(), alertsName, alertsVersion, content); err != nil {
		return err
	}
	l.kept = change
	return nil
}

// restoreAlerts lets those wait again that did before a restart.
func (l *Lambda) restoreAlerts() error {
	content, err := durable.Load(l.alertsPath(), alertsName, alertsVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var waiting []alerts.Alert
	if err := json.Unmarshal(content, &waiting); err != nil {
		return &durable.Damaged{Path: l.alertsPath(), Reason: "cannot be read: " + err.Error()}
	}
	l.alerts.Restore(waiting)
	return nil
}

// plantAlertBug lets the batch layer write alerts of its own.
func (l *Lambda) plantAlertBug(ctx context.Context, v *batchView) error {
	if !l.c.Faults.Bug(alerts.BugShadow) {
		return nil
	}
	return l.read(ctx, v, view.SpendWindows, batch.Whole(), func(r view.Row) {
		if gross := r.Num[2]; gross >= l.c.Params.AlertThresholdMilli {
			l.alerts.Raise(alerts.Alert{Rules: v.rules, WindowStart: r.Num[0], CustomerID: r.Num[1], GrossMilli: gross})
		}
	})
}
