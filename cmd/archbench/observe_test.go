package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestMetricsAndLogs reads what each architecture's process shows to Prometheus
// and what it logs.
func TestMetricsAndLogs(t *testing.T) {
	bootstrap := embeddedBroker(t)
	for name := range pipelines() {
		t.Run(name, func(t *testing.T) {
			const lines = 300
			at := fill(t, bootstrap, name, lines)
			s := start(t, program(t, nil, "serve", name, "--bootstrap", bootstrap, "--topics", name, "--data-dir", filepath.Join(t.TempDir(), "data"),
				"--trigger", "100ms", "--batch-interval", "200ms", "--set", "run_id=run-7", "--set", "log_format=json"))
			reach(t, s.address, at)
			families := scrape(t, s.address)
			for deadline := time.Now().Add(20 * time.Second); commits(families) == 0; families = scrape(t, s.address) {
				if time.Now().After(deadline) {
					t.Fatal("no commit is shown")
				}
				time.Sleep(20 * time.Millisecond)
			}
			if got := greatest(families["archbench_watermark_timestamp_seconds"]); got != (1_700_000_000_000+lines-1)/1000. {
				t.Errorf("the greatest watermark is %v", got)
			}
			if got := greatest(families["archbench_broker_read_bytes_total"]); got < 10_000 {
				t.Errorf("%v bytes read for %d lines", got, lines)
			}
			for family, there := range map[string]bool{"archbench_compaction_duration_seconds": true, "archbench_committed_offset": true, "archbench_seam_offset": name == "lambda",
				"archbench_batch_duration_seconds": name == "lambda"} {
				if (families[family] != nil) != there {
					t.Errorf("%s is there: %v, want %v", family, !there, there)
				}
			}
			if code := post(t, s.address+"/v1/rules/2", ""); code != "202" {
				t.Errorf("a reprocess: %s", code)
			}
			if code := s.stop(t); code != exitDone {
				t.Errorf("exit %d: %s", code, s.stderr)
			}
			said := logged(t, s.stderr.String(), map[string]string{"run": "run-7", "architecture": name, "topics": name})
			for _, want := range []string{"serving", "a reprocess was asked for", "stopped"} {
				if !said[want] {
					t.Errorf("the log lacks %q: %s", want, s.stderr)
				}
			}
		})
	}
}

// scrape reads a process's metrics as Prometheus would, and holds them to its conventions.
func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	response, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.New(strings.NewReader(string(body))).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("against the conventions: %v, %v", problems, err)
	}
	return families
}

// commits is how many commits took their time.
func commits(families map[string]*dto.MetricFamily) (n uint64) {
	for _, m := range families["archbench_commit_duration_seconds"].GetMetric() {
		n += m.GetHistogram().GetSampleCount()
	}
	return n
}

// greatest is the greatest value of a family.
func greatest(f *dto.MetricFamily) (v float64) {
	for _, m := range f.GetMetric() {
		v = max(v, m.GetGauge().GetValue(), m.GetCounter().GetValue())
	}
	return v
}

// logged checks that every line is JSON with the attributes, and returns the messages.
func logged(t *testing.T, text string, attributes map[string]string) map[string]bool {
	t.Helper()
	said := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%s: %v", lines.Text(), err)
			continue
		}
		for key, want := range attributes {
			if line[key] != want {
				t.Errorf("%s is %v, want %s: %s", key, line[key], want, lines.Text())
			}
		}
		if message, ok := line["msg"].(string); ok {
			said[message] = true
		}
	}
	return said
}
