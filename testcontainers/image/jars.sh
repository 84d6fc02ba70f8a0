#!/bin/sh
# Fetches Kafka's jars from Maven Central into a folder (first argument), once.
set -eu
version=${KAFKA_VERSION:-4.1.1}
into=$1
if ls "$into"/kafka_2.13-"$version".jar >/dev/null 2>&1; then exit 0; fi
command -v mvn >/dev/null || { echo "kafka-jars: Maven (mvn) is not installed" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>archbench</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
POM
mkdir -p "$into"
mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/jars" >&2
cp "$work"/jars/*.jar "$into"/
echo "kafka-jars: Kafka $version is in $into" >&2
