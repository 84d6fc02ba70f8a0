#!/bin/sh
# Makes the image archbench/kafka:<version>-<layout>: Apache's own if it can be
# pulled, else one from Debian's packages and Maven Central. Needs a Docker daemon,
# and for building mmdebstrap and Maven. KAFKA_IMAGE=build does not try to pull.
set -eu
version=${KAFKA_VERSION:-4.1.1}
layout=r2 # what start.sh expects of the image; another layout gets another name, here and in broker.go
image=archbench/kafka:$version-$layout
here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
say() { echo "kafka-image: $*" >&2; }

command -v docker >/dev/null || { say "Docker is not installed"; exit 1; }
docker info >/dev/null 2>&1 || { say "no Docker daemon answers at ${DOCKER_HOST:-the usual place}"; exit 1; }

# A name is not trusted: the image must hold Java and this version of Kafka.
holds_kafka() {
	docker image inspect "$1" >/dev/null 2>&1 &&
		docker run --rm --network none --entrypoint /bin/sh "$1" -c \
			"command -v java && test -f /opt/kafka/libs/kafka_2.13-$version.jar" >/dev/null 2>&1
}
if holds_kafka "$image"; then say "$image is present"; exit 0; fi

if [ "${KAFKA_IMAGE:-}" != build ] && timeout 180 docker pull --quiet "apache/kafka:$version" >/dev/null 2>&1 && holds_kafka "apache/kafka:$version"; then
	docker tag "apache/kafka:$version" "$image"
	say "$image is Apache's image"
	exit 0
fi
say "Apache's image cannot be pulled here, so one is built from packages (about a minute)"
command -v mmdebstrap >/dev/null || { say "mmdebstrap is not installed (Debian's package of that name)"; exit 1; }
context=$cache/image
mkdir -p "$context"
KAFKA_VERSION=$version sh "$here/jars.sh" "$context/jars"
if [ ! -f "$context/rootfs.tar" ]; then
	say "building a Debian root with Java 17"
	mmdebstrap --quiet --variant=minbase --include=openjdk-17-jre-headless bookworm "$context/rootfs.tmp.tar"
	mv "$context/rootfs.tmp.tar" "$context/rootfs.tar"
fi
docker build --quiet --tag "$image" --file "$here/Dockerfile" "$context" >"$context/build.log" 2>&1 ||
	{ cat "$context/build.log" >&2; say "docker build fails"; exit 1; }
holds_kafka "$image" || { say "the image that was built holds no Kafka $version"; exit 1; }
say "$image is built"
rm -f "$context/rootfs.tar" # it is in the image now
