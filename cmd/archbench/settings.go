package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"archbench/common/architecture"
	"archbench/common/serving"
	"archbench/common/view"
)

// kind is what a setting's value must be.
type kind int

const (
	text kind = iota
	list      // comma-separated
	boolean
	integer
	number
	duration
)

// check says what is wrong with a value of this kind, as "it must be …".
func (k kind) check(value string) error {
	var err error
	want := ""
	switch k {
	case boolean:
		_, err = strconv.ParseBool(value)
		want = "true or false"
	case integer:
		_, err = strconv.ParseInt(value, 10, 64)
		want = "an integer"
	case number:
		_, err = strconv.ParseFloat(value, 64)
		want = "a number"
	case duration:
		_, err = time.ParseDuration(value)
		want = "a duration such as 500ms, 1m or 24h"
	}
	if err != nil {
		return fmt.Errorf("it must be %s", want)
	}
	return nil
}

// setting is one definition, from which flag, environment variable, file key,
// default and help come.
type setting struct {
	key     string
	kind    kind
	value   string // the default
	meaning string
	// flag is the command-line flag's name; settings without one are set by
	// --set KEY=VALUE.
	flag string
}

// passwordVariable is no setting: it stands in no file and on no command line.
const passwordVariable = "ARCHBENCH_KAFKA_PASSWORD"

// settings is the table of all definitions. Keys of one group stand together.
func settings() []setting {
	d := view.DefaultParams()
	window := func(key string, size time.Duration, meaning string) setting {
		return setting{"windows." + key, duration, short(size), meaning, ""}
	}
	return []setting{
		{"suite", text, "", "suite to run: quick", "suite"},
		{"scenario", list, "", "scenarios to run, comma-separated: steady, backfill, reprocess", "scenario"},
		{"arch", list, "lambda,kappa,unified", "architectures, comma-separated", "arch"},
		{"broker", text, "auto", "kind of broker: auto, container, local, embedded or external", "broker"},
		{"bootstrap", list, "", "addresses of an external broker, HOST:PORT comma-separated", "bootstrap"},
		{"kafka.tls", boolean, "false", "external broker: speak TLS", ""},
		{"kafka.ca", text, "", "external broker: PEM file of the authorities to trust; empty: the system's", ""},
		{"kafka.sasl", text, "", "external broker: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no SASL", ""},
		{"kafka.user", text, "", "external broker: SASL user; the password comes from " + passwordVariable + " or a file", ""},
		{"kafka.password_file", text, "", "external broker: file that holds the SASL password and nothing else", ""},
		{"kafka.retention", duration, "0s", "least time for which topics keep records, where a cluster keeps none for ever; 0s: for ever", ""},
		{"kafka.compression", text, "none", "compression of what is written to Kafka: none, gzip, snappy, lz4 or zstd", ""},
		{"workload.source", text, "synthetic", "source of events: synthetic, online-retail or csv:PATH", "workload"},
		{"workload.path", text, "", "file of the online-retail data; empty: the known places", ""},
		{"disturb.late", number, "0", "share of the order lines that are sent late", ""},
		{"disturb.lateness", duration, "10m", "mean lateness of late lines and profile changes, in event time", ""},
		{"disturb.out_of_order", number, "0", "share of the order lines that are sent out of order", ""},
		{"disturb.displacement", integer, "100", "events that a line out of order lets pass at most", ""},
		{"disturb.duplicates", number, "0", "order lines sent again, some with other content, as a share of the order lines", ""},
		{"disturb.poison", number, "0", "unusable records of every kind, as a share of the events", ""},
		{"disturb.late_profiles", number, "0", "share of the profile changes that are sent after they began to be valid", ""},
		{"disturb.schema2", boolean, "false", "schema version 2, with a channel, from half way", ""},
		{"disturb.skew", number, "0", "share of the order lines whose producer's clock runs a day ahead", ""},
		{"rate", number, "2000", "events per second of live traffic", "rate"},
		{"duration", duration, "60s", "length of the window of steady", "duration"},
		{"events", integer, "0", "events at most, history and live together; 0: all of a file, 500,000 of a synthetic backfill or reprocess", "events"},
		{"history", integer, "200000", "events preloaded for steady", ""},
		{"partitions", integer, "4", "partitions of each topic", "partitions"},
		{"policy", text, "bounded", "how late lines and duplicates are treated: bounded, which keeps state finite, or exact, which suite quick runs under (Unified and Lambda's batch layer are exact under both)", "policy"},
		{"allowed_lateness", duration, short(architecture.DefaultLateness), "policy bounded: how far behind the newest event time of its partition a line may lie", "allowed-lateness"},
		{"guarantee", text, "effectively-once", "what a crash may do: at-most-once may lose lines, at-least-once may count them twice, effectively-once does neither; policy exact goes with the last only", "guarantee"},
		{"trigger", duration, "1s", "Unified: time between micro-batches", "trigger"},
		{"batch_interval", duration, "10s", "Lambda: time between starts of the batch layer", "batch-interval"},
		{"commit_interval", duration, "200ms", "Kappa: longest time between commits", ""},
		{"memory", integer, "1073741824", "bound for DuckDB in one process, bytes", ""},
		{"reads", number, "10", "reads per second", ""},
		{"seed", integer, "1", "seed of everything random", "seed"},
		{"trials", integer, "1", "trials of each measurement", "trials"},
		{"out", text, "", "directory of the run; empty: results/runs/<UTC>-<suite or scenarios>", "out"},
		{"strict", boolean, "false", "exit 3 if a gate failed", "strict"},
		{"topics", text, "", "serve: prefix of the topic set; run: begins the names of all topics, if not the run's name and time", "topics"},
		{"data_dir", text, "", "serve: data directory", "data-dir"},
		{"listen", text, "127.0.0.1:0", "serve: address to listen at; one that is not the loopback's needs " + serving.TokenVariable, "listen"},
		{"rules", integer, "1", "serve: rules to begin with in an empty data directory: 1 (every line) or 2 (merchandise only)", "rules"},
		{"allow_control", boolean, "false", "serve: allow POST /v1/control (demonstrations)", "allow-control"},
		{"run_id", text, "", "serve: the run that this process belongs to, in every line of its log; empty: one of its own", ""},
		{"log_format", text, "text", "serve: form of the log, text or json", ""},
		{"faults", text, "", "serve: planted crash points and bugs, such as kappa.after-commit=3,bug:count-duplicates", "faults"},
		window("tumbling", d.Tumbling, "window of revenue_by_country"),
		window("hop_size", d.HopSize, "window of rolling_revenue, a multiple of its slide"),
		window("hop_slide", d.HopSlide, "slide of rolling_revenue"),
		window("session_gap", d.SessionGap, "longest silence within a session"),
		window("top", d.Top, "window of top_products"),
		window("segment", d.Segment, "window of revenue_by_segment"),
		window("distinct", d.Distinct, "window of distinct_customers"),
		window("alert", d.Alert, "window of spend_alerts"),
		{"top_k", integer, strconv.Itoa(d.TopK), "ranks of top_products", ""},
		{"alert_threshold_milli", integer, strconv.FormatInt(d.AlertThresholdMilli, 10), "least sum of spend_alerts, thousandths of a pound", ""},
	}
}

// short writes a duration without its zeros: 1h for 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// find returns the definition of a key.
func find(key string) (setting, bool) {
	for _, s := range settings() {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// variable is the environment variable of a setting.
func (s setting) variable() string {
	return "ARCHBENCH_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// elsewhere is where else than in a file a setting may be given.
func (s setting) elsewhere() []string {
	if s.flag == "" {
		return []string{s.variable()}
	}
	return []string{"--" + s.flag, s.variable()}
}

// isOtherVariable reports whether a variable begins with ARCHBENCH_ and is no setting.
func isOtherVariable(name string) bool {
	others := []string{serving.TokenVariable, passwordVariable, "ARCHBENCH_REQUIRE", "ARCHBENCH_KAFKA_HOME"}
	return slices.Contains(others, name) || strings.HasPrefix(name, "ARCHBENCH_TEST_")
}

// checkKey refuses an unknown key and names the nearest known one.
func checkKey(key, where string) error {
	var keys, group []string
	for _, s := range settings() {
		if s.key == key {
			return nil
		}
		keys = append(keys, s.key)
		if strings.HasPrefix(s.key, key+".") {
			group = append(group, s.key)
		}
	}
	if len(group) > 0 {
		return fmt.Errorf("%s: %q is a group of keys, not a key: it has %s", where, key, strings.Join(group, ", "))
	}
	return fmt.Errorf("%s: unknown key %q: did you mean %q? (archbench config lists the keys)", where, key, nearest(key, keys))
}

// checkVariable refuses an unknown variable that begins as the settings' do.
func checkVariable(name string) error {
	var variables []string
	for _, s := range settings() {
		if s.variable() == name {
			return nil
		}
		variables = append(variables, s.variable())
	}
	if isOtherVariable(name) {
		return nil
	}
	return fmt.Errorf("unknown environment variable %s: did you mean %s? (archbench config lists the keys)", name, nearest(name, variables))
}
