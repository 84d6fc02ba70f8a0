#!/bin/sh
# Makes the image archbench/kafka:<version>: present already, else built from
# Debian's packages and Maven Central. Needs a Docker daemon and mmdebstrap.
set -eu
version=${KAFKA_VERSION:-4.1.1}
image=archbench/kafka:$version
here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
docker info >/dev/null 2>&1 || { echo "kafka-image: no Docker daemon answers" >&2; exit 1; }
# An image of that name that does not start Kafka is replaced, not trusted.
case $(docker image inspect --format '{{.Config.Entrypoint}}' "$image" 2>/dev/null) in
*/opt/kafka/start.sh*) echo "kafka-image: $image is present" >&2; exit 0 ;;
esac
command -v mmdebstrap >/dev/null || { echo "kafka-image: mmdebstrap is not installed (Debian package mmdebstrap)" >&2; exit 1; }
context=$cache/image
mkdir -p "$context"
KAFKA_VERSION=$version sh "$here/jars.sh" "$context/jars"
if [ ! -f "$context/rootfs.tar" ]; then
	echo "kafka-image: building a Debian root with Java 17 (about half a minute)" >&2
	mmdebstrap --quiet --variant=minbase --include=openjdk-17-jre-headless bookworm "$context/rootfs.tmp.tar"
	mv "$context/rootfs.tmp.tar" "$context/rootfs.tar"
fi
cp "$here/Dockerfile" "$here/start.sh" "$context/"
docker build --quiet --tag "$image" "$context" >/dev/null
rm -f "$context/rootfs.tar" # it is in the image now
echo "kafka-image: $image is built" >&2
