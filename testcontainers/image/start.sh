#!/bin/sh
# Starts one Kafka node (KRaft, broker and controller) for tests and benchmarks.
# The environment names what differs: KAFKA_PORT (client port on the loopback),
# KAFKA_CONTROLLER_PORT, KAFKA_DATA (kept over a restart), KAFKA_JARS, KAFKA_HEAP.
set -eu
data=${KAFKA_DATA:-/var/lib/archbench}
jars=${KAFKA_JARS:-/opt/kafka/libs}
port=${KAFKA_PORT:-9092}
controller=${KAFKA_CONTROLLER_PORT:-9093}
mkdir -p "$data"
cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$data/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.ms=-1
file.delete.delay.ms=1000
PROPERTIES
run() { java -Xms512m "-Xmx${KAFKA_HEAP:-1g}" -XX:+UseG1GC -cp "$jars/*" "$@"; }
if [ ! -f "$data/logs/meta.properties" ]; then
	run kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAA -c "$data/server.properties" --ignore-formatted >/dev/null
fi
exec java -Xms512m "-Xmx${KAFKA_HEAP:-1g}" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -cp "$jars/*" kafka.Kafka "$data/server.properties"
