package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"archbench/results/schema"
)

// whole is a result with every part that the contract knows.
const whole = `{"schema":"archbench/result/1",
"run":{"id":"r","started_at":"2026-01-02T03:04:05Z","finished_at":"2026-01-02T03:05:05Z","suite":"quick","seed":1,"command":"archbench run","commit":"c","dirty":false},
"host":{"cpu":"c","cores":2,"memory_bytes":1,"os":"o","kernel":"k","go":"g","steal_percent":0,"cpusets":{"harness":[0],"architecture":[1],"shared_cpu":false}},
"broker":{"kind":"container","product":"Apache Kafka","version":"4.1.1","image":"i","partitions":4},
"workloads":[{"id":"synthetic","source":"s","sha256":"7615e19743f2c3e8e641375743c276dbb0ed64a70cf210464ce72c335db3d221","parameters":{"seed":"1"}}],
"floors":{"read_per_cpu_s":1,"decode_per_cpu_s":1,"produce_consume_us":{"count":1,"p50":1,"p99":2}},
"measurements":[{"scenario":"crash","workload":"synthetic","architecture":"kappa","policy":"bounded","guarantee":"at-least-once","variant":{"trigger":"1s"},"trial":1,"valid":true,
"load":{"offered_per_s":1,"achieved_per_s":1,"events":1,"history":0,"duplicates":0,"late":0,"poison":0,"generator_lag_us":{"count":1,"p50":1,"p99":1,"max":1}},
"freshness_us":{"count":1,"p50":1,"p90":1,"p99":1,"p999":1,"max":1},"age_us":{"count":1},"answer_us":{"count":1},"alert_us":{"count":1},"alerts":{"expected":1,"missing":0,"extra":0,"wrong":0,"repeated":0,"examples":["e"]},"window":{"from_us":1,"to_us":2},
"divergence":{"reads":1,"reads_wrong":0,"rows_checked":1,"rows_wrong":0,"rows_missing":0,"rows_extra":0,"max_abs_milli":0,"final":{"rows_checked":1,"rows_wrong":0,"rows_missing":0,"rows_extra":0}},
"policy_divergence":{"reads":1,"reads_wrong":0,"rows_checked":1,"rows_wrong":0,"rows_missing":0,"rows_extra":0,"max_abs_milli":0},"distinct_error":{"p50":0.001,"p99":0.002,"max":0.01},
"throughput":{"events":1,"seconds":1,"events_per_s":1,"events_per_cpu_s":1},
"reprocess":{"history_events":1,"seconds":1,"events_per_s":1,"freshness_p99_before_us":1,"freshness_p99_during_us":1,"cpu_s":1,"rss_peak_bytes":1,"disk_bytes":1},
"recovery":{"faults":1,"down_us":1,"caught_up_us":1,"lost":0,"duplicated":0,"coverage_went_back":0},
"batches":{"count":5,"interval_seconds":4},
"cost":{"cpu_s":1,"cpu_s_per_million":1,"rss_peak_bytes":1,"disk_bytes":1,"broker_read_bytes":0}}]}`

func TestWholeResultFits(t *testing.T) {
	if err := schema.Validate([]byte(whole)); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string][2]string{
		"another version":          {`archbench/result/1`, `archbench/result/2`},
		"an unknown field":         {`"trial":1,`, `"trial":1,"colour":"red",`},
		"no reason":                {`"valid":true`, `"valid":false`},
		"an empty reason":          {`"valid":true`, `"valid":false,"invalid_because":[]`},
		"a negative count":         {`"reads":1,`, `"reads":-1,`},
		"alerts uncounted":         {`"missing":0,`, ``},
		"a fraction of µs":         {`"p90":1,`, `"p90":1.5,`},
		"an unknown policy":        {`"policy":"bounded"`, `"policy":"roughly"`},
		"an unknown broker":        {`"kind":"container"`, `"kind":"cloud"`},
		"a measured zero left out": {`"duplicates":0,`, ``},
		"text for a number":        {`"cores":2`, `"cores":"2"`},
		"not JSON":                 {`{"schema"`, `{schema`},
	} {
		changed := strings.Replace(whole, c[0], c[1], 1)
		if changed == whole {
			t.Fatalf("%s: %q is not in the sample", name, c[0])
		}
		if err := schema.Validate([]byte(changed)); err == nil {
			t.Errorf("%s fits", name)
		}
	}
}

// Every key of the sample is demanded or known: none is only tolerated.
func TestNothingIsTolerated(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(whole), &doc); err != nil {
		t.Fatal(err)
	}
	var visit func(path string, object map[string]any)
	visit = func(path string, object map[string]any) {
		if path == ".parameters" || path == ".variant" {
			return // their keys are free
		}
		object["no such key"] = 1
		if content, err := json.Marshal(doc); err != nil || schema.Validate(content) == nil {
			t.Errorf("an unknown key at %q fits (%v)", path, err)
		}
		delete(object, "no such key")
		for key, value := range object {
			switch v := value.(type) {
			case map[string]any:
				visit("."+key, v)
			case []any:
				for _, e := range v {
					if o, ok := e.(map[string]any); ok {
						visit("."+key, o)
					}
				}
			}
		}
	}
	visit("", doc)
}
