package brokerenv

// Bootstrap names a real Kafka that the whole test run shares; make test sets it.
const Bootstrap = "ARCHBENCH_TEST_BOOTSTRAP"
