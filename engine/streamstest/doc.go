// Package streamstest holds ashi against Kafka Streams itself. It has tests only:
//
//   - keys, windowed keys and their partitions against testdata/golden.json, which java/Golden.java makes with Kafka's own serializers;
//   - final rows of tumbling, hopping, session and sliding windows against java/Finals.java, which runs the same programs in
//     Kafka Streams over the same topics;
//   - values and keys in a registry's frame against java/registered/Registered.java, which has Avro's and Protobuf's own classes;
//   - joins against java/Joins.java by way of an oracle (joinoracle_test.go), a slow program that knows the rules of both sides: Kafka
//     Streams must give what it says after the one, ashi after the other.
//
// The first needs no Java, unless the vectors are to be made anew (-rewrite). The others need a
// real broker (make kafka-test), java and mvn, and are skipped without them: Maven fetches the jars
// of java/pom.xml into .cache.
//
// What is compared, and each difference that is known, is in docs/semantics.md. The tests are
// independent of each other and clean up the topics that they make.
package streamstest
