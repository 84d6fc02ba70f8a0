package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"archbench/common/view"
)

// setting is one definition, from which flag, environment variable, file key,
// default and help come.
type setting struct {
	key, value, meaning string
	// flag is whether the key is a command-line flag of its own; the others are
	// set by --set KEY=VALUE.
	flag bool
}

func settings() []setting {
	d := view.DefaultParams()
	return []setting{
		{"suite", "", "suite to run: quick", true},
		{"scenario", "", "scenarios to run, comma-separated: steady, backfill, reprocess", true},
		{"arch", "lambda,kappa,unified", "architectures, comma-separated", true},
		{"broker", "auto", "kind of broker: auto, container, local, embedded or external", true},
		{"bootstrap", "", "addresses of an external broker, HOST:PORT comma-separated", true},
		{"workload.source", "synthetic", "source of events: synthetic, online-retail or csv:PATH", true},
		{"workload.path", "", "file of the online-retail data; empty: the known places", false},
		{"rate", "2000", "events per second of live traffic", true},
		{"duration", "60s", "length of the window of steady", true},
		{"events", "0", "events of a synthetic backfill or reprocess, history and live together; 0: 500,000", true},
		{"history", "200000", "events preloaded for steady", false},
		{"partitions", "4", "partitions of each topic", true},
		{"policy", "exact", "exact (bounded comes in a later version)", true},
		{"guarantee", "effectively-once", "effectively-once (lesser ones come in a later version)", true},
		{"trigger", "1s", "Unified: time between micro-batches", true},
		{"batch_interval", "10s", "Lambda: time between starts of the batch layer", true},
		{"reads", "10", "reads per second", false},
		{"seed", "1", "seed of everything random", true},
		{"trials", "1", "trials of each measurement", true},
		{"out", "", "directory of the run; empty: results/runs/<UTC>-<suite or scenarios>", true},
		{"strict", "false", "exit 3 if a gate failed", true},
		{"topics", "", "serve: prefix of the topic set", true},
		{"data_dir", "", "serve: data directory", true},
		{"listen", "127.0.0.1:0", "serve: address to listen at", true},
		{"rules", "1", "serve: rules to begin with in an empty data directory", true},
		{"allow_control", "false", "serve: allow POST /v1/control (demonstrations)", true},
		{"faults", "", "serve: planted crash points and bugs, such as kappa.after-commit=3,bug:count-duplicates", true},
		{"memory", "1073741824", "serve: bound for DuckDB, bytes", false},
		{"windows.tumbling", d.Tumbling.String(), "window of revenue_by_country", false},
		{"windows.hop_size", d.HopSize.String(), "window of rolling_revenue, a multiple of its slide", false},
		{"windows.hop_slide", d.HopSlide.String(), "slide of rolling_revenue", false},
		{"windows.session_gap", d.SessionGap.String(), "longest silence within a session", false},
		{"windows.top", d.Top.String(), "window of top_products", false},
		{"windows.segment", d.Segment.String(), "window of revenue_by_segment", false},
		{"windows.distinct", d.Distinct.String(), "window of distinct_customers", false},
		{"windows.alert", d.Alert.String(), "window of spend_alerts", false},
		{"top_k", strconv.Itoa(d.TopK), "ranks of top_products", false},
		{"alert_threshold_milli", strconv.FormatInt(d.AlertThresholdMilli, 10), "least sum of spend_alerts, thousandths of a pound", false},
	}
}

// flagName is the flag of a key.
func flagName(key string) string {
	if key == "workload.source" {
		return "workload"
	}
	return strings.ReplaceAll(key, "_", "-")
}

// environment names the variable of a key.
func environment(key string) string {
	return "ARCHBENCH_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// otherVariables begin with ARCHBENCH_ and are no settings.
func isOtherVariable(name string) bool {
	return slices.Contains([]string{"ARCHBENCH_TOKEN", "ARCHBENCH_REQUIRE", "ARCHBENCH_KAFKA_HOME"}, name) || strings.HasPrefix(name, "ARCHBENCH_TEST_")
}

// options reads the effective settings of one command line.
type options struct {
	v    *viper.Viper
	sets []string
	file string
	errs []error
}

// newOptions gives a command its flags: those named, --config and --set.
func newOptions(c *cobra.Command, flags ...string) *options {
	o := &options{v: viper.New()}
	for _, s := range settings() {
		o.v.SetDefault(s.key, s.value)
		if err := o.v.BindEnv(s.key, environment(s.key)); err != nil {
			o.errs = append(o.errs, err)
		}
		if slices.Contains(flags, s.key) {
			name := flagName(s.key)
			if s.value == "true" || s.value == "false" {
				c.Flags().Bool(name, s.value == "true", s.meaning)
			} else {
				c.Flags().String(name, s.value, s.meaning)
			}
			if err := o.v.BindPFlag(s.key, c.Flags().Lookup(name)); err != nil {
				o.errs = append(o.errs, err)
			}
		}
	}
	c.Flags().StringVar(&o.file, "config", "", "configuration file (YAML)")
	c.Flags().StringArrayVar(&o.sets, "set", nil, "set one key, KEY=VALUE; may be repeated (archbench config lists the keys)")
	return o
}

// load reads file and environment. Precedence: flags, environment, file, defaults.
func (o *options) load() error {
	if err := errors.Join(o.errs...); err != nil {
		return usage(err)
	}
	if o.file != "" {
		o.v.SetConfigFile(o.file)
		o.v.SetConfigType("yaml")
		if err := o.v.ReadInConfig(); err != nil {
			return usage(fmt.Errorf("configuration file: %w", err))
		}
		for _, key := range o.v.AllKeys() {
			if o.v.InConfig(key) || !known(key) {
				if err := checkKey(key, "configuration file "+o.file); err != nil {
					return usage(err)
				}
			}
		}
	}
	for _, assignment := range os.Environ() {
		name, _, _ := strings.Cut(assignment, "=")
		if strings.HasPrefix(name, "ARCHBENCH_") && !isOtherVariable(name) && !slices.ContainsFunc(settings(), func(s setting) bool { return environment(s.key) == name }) {
			return usage(fmt.Errorf("unknown environment variable %s: the nearest setting is %s", name, environment(nearest(strings.ToLower(strings.TrimPrefix(name, "ARCHBENCH_"))))))
		}
	}
	for _, s := range o.sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return usage(fmt.Errorf("--set %s: want KEY=VALUE", s))
		}
		if err := checkKey(key, "--set"); err != nil {
			return usage(err)
		}
		o.v.Set(key, value)
	}
	return nil
}

func known(key string) bool {
	return slices.ContainsFunc(settings(), func(s setting) bool { return s.key == key })
}

// checkKey refuses an unknown key and names the nearest known one.
func checkKey(key, where string) error {
	if known(key) {
		return nil
	}
	return fmt.Errorf("%s: unknown key %q: did you mean %q?", where, key, nearest(key))
}

// nearest is the known key at the least edit distance.
func nearest(key string) string {
	best, least := "", 1<<30
	for _, s := range settings() {
		if d := distance(key, s.key); d < least {
			best, least = s.key, d
		}
	}
	return best
}

// distance is Levenshtein's edit distance, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (o *options) text(key string) string { return o.v.GetString(key) }
func (o *options) flag(key string) bool   { return o.v.GetBool(key) }

// list splits a comma-separated value; empty gives none.
func (o *options) list(key string) []string {
	return strings.FieldsFunc(o.text(key), func(r rune) bool { return r == ',' || r == ' ' })
}

// value parses a key and remembers a failure for check.
func value[T any](o *options, key string, parse func(string) (T, error), want string) T {
	v, err := parse(o.text(key))
	if err != nil {
		o.errs = append(o.errs, fmt.Errorf("%s is %q: it must be %s", key, o.text(key), want))
	}
	return v
}

func (o *options) integer(key string) int64 {
	return value(o, key, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }, "an integer")
}

func (o *options) number(key string) float64 {
	return value(o, key, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, "a number")
}

func (o *options) duration(key string) time.Duration {
	return value(o, key, time.ParseDuration, "a duration such as 500ms, 1m or 24h")
}

// params reads the views' parameters.
func (o *options) params() view.Params {
	return view.Params{
		Tumbling: o.duration("windows.tumbling"), HopSize: o.duration("windows.hop_size"), HopSlide: o.duration("windows.hop_slide"),
		SessionGap: o.duration("windows.session_gap"), Top: o.duration("windows.top"), Segment: o.duration("windows.segment"),
		Distinct: o.duration("windows.distinct"), Alert: o.duration("windows.alert"),
		TopK: int(o.integer("top_k")), AlertThresholdMilli: o.integer("alert_threshold_milli"),
	}
}

// check reports what could not be parsed.
func (o *options) check() error {
	if err := errors.Join(o.errs...); err != nil {
		return usage(err)
	}
	return nil
}

// source says where a key's value comes from.
func (o *options) source(s setting) string {
	if slices.ContainsFunc(o.sets, func(set string) bool { return strings.HasPrefix(set, s.key+"=") }) {
		return "--set"
	}
	if _, ok := os.LookupEnv(environment(s.key)); ok {
		return environment(s.key)
	}
	if o.v.InConfig(s.key) {
		return o.file
	}
	return "default"
}
