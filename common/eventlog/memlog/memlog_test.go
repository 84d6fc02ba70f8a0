package memlog_test

import (
	"testing"

	"archbench/common/eventlog/logtest"
	"archbench/common/eventlog/memlog"
)

func TestLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Backend {
		l := memlog.New()
		t.Cleanup(func() { l.Close() })
		return l
	})
}

func BenchmarkLog(b *testing.B) {
	l := memlog.New()
	defer l.Close()
	logtest.Bench(b, l)
}
