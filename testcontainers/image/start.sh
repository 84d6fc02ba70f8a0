#!/bin/sh
# Starts one Kafka node (KRaft, broker and controller) for tests and benchmarks.
# The environment names what differs: KAFKA_PORT (client port on the loopback),
# KAFKA_CONTROLLER_PORT, KAFKA_DATA (kept over a restart), KAFKA_JARS, KAFKA_JVM (its
# flags), KAFKA_NODE (its number) and KAFKA_PROPERTIES, lines that win over those below.
set -eu
data=${KAFKA_DATA:-/var/lib/archbench}
jars=${KAFKA_JARS:-/opt/kafka/libs}
port=${KAFKA_PORT:-9092}
controller=${KAFKA_CONTROLLER_PORT:-9093}
node=${KAFKA_NODE:-1}
mkdir -p "$data"
cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$node@127.0.0.1:$controller
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
printf '%s\n' "${KAFKA_PROPERTIES:-}" >>"$data/server.properties" # of a key that stands twice, the last counts
# Format the data directory once; that is over before a compiler pays.
if [ ! -f "$data/logs/meta.properties" ]; then
	java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAA -c "$data/server.properties" --ignore-formatted >/dev/null
fi
# shellcheck disable=SC2086 # flags are words
exec java ${KAFKA_JVM:--Xms512m -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20} -cp "$jars/*" kafka.Kafka "$data/server.properties"
