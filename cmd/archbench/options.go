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
	"archbench/workloads/disturb"
)

// options are the effective settings of one command line. Their getters are for
// after load, which has checked every value.
type options struct {
	v       *viper.Viper
	command *cobra.Command
	sets    []string
	file    string
	bound   error  // of the definitions to flags and variables
	runID   string // once it was asked for
}

// newOptions gives a command its flags: those of the keys named, --config and --set.
func newOptions(c *cobra.Command, keys ...string) *options {
	o := &options{v: viper.New(), command: c}
	for _, s := range settings() {
		o.v.SetDefault(s.key, s.value)
		o.bound = errors.Join(o.bound, o.v.BindEnv(s.key, s.variable()))
		if !slices.Contains(keys, s.key) {
			continue
		}
		if s.kind == boolean {
			c.Flags().Bool(s.flag, s.value == "true", s.meaning)
		} else {
			c.Flags().String(s.flag, s.value, s.meaning)
		}
		o.bound = errors.Join(o.bound, o.v.BindPFlag(s.key, c.Flags().Lookup(s.flag)))
	}
	c.Flags().StringVar(&o.file, "config", "", "configuration file (YAML)")
	c.Flags().StringArrayVar(&o.sets, "set", nil, "set one key, KEY=VALUE; may be repeated (archbench config lists the keys)")
	return o
}

// load reads everything and checks every value. Precedence: command line,
// environment, file, defaults.
func (o *options) load() error {
	for _, step := range []func() error{func() error { return o.bound }, o.readFile, checkEnvironment, o.readSets, o.checkValues} {
		if err := step(); err != nil {
			return usage(err)
		}
	}
	return nil
}

func (o *options) readFile() error {
	if o.file == "" {
		return nil
	}
	o.v.SetConfigFile(o.file)
	o.v.SetConfigType("yaml")
	if err := o.v.ReadInConfig(); err != nil {
		return fmt.Errorf("configuration file %s: %w", o.file, err)
	}
	keys := o.v.AllKeys()
	slices.Sort(keys) // the same complaint every time
	for _, key := range keys {
		if err := checkKey(key, "configuration file "+o.file); err != nil {
			return err
		}
	}
	return nil
}

func checkEnvironment() error {
	for _, assignment := range os.Environ() {
		if name, _, _ := strings.Cut(assignment, "="); strings.HasPrefix(name, "ARCHBENCH_") {
			if err := checkVariable(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *options) readSets() error {
	for _, assignment := range o.sets {
		key, value, ok := strings.Cut(assignment, "=")
		if !ok {
			return fmt.Errorf("--set %s: want KEY=VALUE", assignment)
		}
		if err := checkKey(key, "--set"); err != nil {
			return err
		}
		if s, _ := find(key); o.isFlagged(s) {
			return fmt.Errorf("%s is given twice, by --%s and by --set: leave one out", key, s.flag)
		}
		o.v.Set(key, value)
	}
	return nil
}

func (o *options) isFlagged(s setting) bool {
	f := o.command.Flags().Lookup(s.flag)
	return s.flag != "" && f != nil && f.Changed
}

func (o *options) checkValues() error {
	for _, s := range settings() {
		value, err := scalar(o.v.Get(s.key))
		if err == nil {
			err = s.kind.check(value)
		} else if s.kind == list {
			err = errors.New("it must be a list")
		}
		if err != nil {
			return fmt.Errorf("%s is %q (from %s): %w", s.key, fmt.Sprint(o.v.Get(s.key)), o.source(s), err)
		}
	}
	return nil
}

// scalar is a value as text, whatever YAML made of it; a list becomes comma-separated.
func scalar(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		var parts []string
		for _, item := range v {
			part, err := scalar(item)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("it must be a single value")
}

// source says where a setting's value comes from.
func (o *options) source(s setting) string {
	switch {
	case o.isFlagged(s):
		return "--" + s.flag
	case slices.ContainsFunc(o.sets, func(set string) bool { return strings.HasPrefix(set, s.key+"=") }):
		return "--set"
	case os.Getenv(s.variable()) != "":
		return s.variable()
	case o.v.InConfig(s.key):
		return o.file
	}
	return "default"
}

// refuseGiven refuses keys that the command line or the environment gives a
// value, where something else decides it.
func (o *options) refuseGiven(by string, keys ...string) error {
	for _, key := range keys {
		if o.given(key) {
			s, _ := find(key)
			return fmt.Errorf("%s decides %s itself: leave %s out, or name what to run with --scenario", by, key, o.source(s))
		}
	}
	return nil
}

// given reports whether the command line or the environment gives a key its value.
func (o *options) given(key string) bool {
	s, _ := find(key)
	from := o.source(s)
	return from != "default" && from != o.file
}

func (o *options) text(key string) string {
	value, _ := scalar(o.v.Get(key)) // load has checked it
	return value
}

// list splits a comma-separated value; empty gives none.
func (o *options) list(key string) []string {
	return strings.FieldsFunc(o.text(key), func(r rune) bool { return r == ',' || r == ' ' })
}

func (o *options) flag(key string) bool {
	value, _ := strconv.ParseBool(o.text(key)) // as all that follow: load has checked it
	return value
}

func (o *options) integer(key string) int64 {
	value, _ := strconv.ParseInt(o.text(key), 10, 64)
	return value
}

func (o *options) number(key string) float64 {
	value, _ := strconv.ParseFloat(o.text(key), 64)
	return value
}

func (o *options) duration(key string) time.Duration {
	value, _ := time.ParseDuration(o.text(key))
	return value
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

// disturbances reads what is laid over the workload.
func (o *options) disturbances() disturb.Params {
	return disturb.Params{
		Late: o.number("disturb.late"), Lateness: o.duration("disturb.lateness"), OutOfOrder: o.number("disturb.out_of_order"), Displacement: o.integer("disturb.displacement"),
		Duplicates: o.number("disturb.duplicates"), Poison: o.number("disturb.poison"), LateProfiles: o.number("disturb.late_profiles"),
		Schema2: o.flag("disturb.schema2"), Skew: o.number("disturb.skew"),
	}
}
