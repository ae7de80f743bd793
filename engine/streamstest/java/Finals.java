import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Materialized.StoreType;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Runs windowed programs in Kafka Streams over topics as they are, and ends when all of their records are taken.
 *
 * <p>Arguments: brokers, application, then one per program: input,form,size,advance,grace,output,store, in milliseconds, where form is time
 * (hopping, and tumbling if advance equals size), session (size is the gap) or sliding (size is the time difference), and store is memory or
 * rocksdb. An input's keys are strings, its values {"bid":1.5}; an output's keys are windowed, its values are those of Total.text.
 */
public class Finals {
    /** What is counted in a window. What came first and last goes by offset, so that sessions can be merged in any order. */
    record Total(long count, long firstAt, double first, long lastAt, double last, double min, double max) {
        static final Total NONE = new Total(0, Long.MAX_VALUE, 0, -1, 0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY);

        static Total of(String tick) {
            String[] f = tick.split(" ");
            double bid = Double.parseDouble(f[1]);
            return new Total(1, Long.parseLong(f[0]), bid, Long.parseLong(f[0]), bid, bid, bid);
        }

        Total and(Total o) {
            boolean earlier = o.firstAt < firstAt;
            boolean later = o.lastAt > lastAt;
            return new Total(count + o.count, earlier ? o.firstAt : firstAt, earlier ? o.first : first, later ? o.lastAt : lastAt,
                later ? o.last : last, Math.min(min, o.min), Math.max(max, o.max));
        }

        String text() {
            return count + " " + firstAt + " " + first + " " + lastAt + " " + last + " " + min + " " + max;
        }

        static Total parse(String text) {
            String[] f = text.split(" ");
            return new Total(Long.parseLong(f[0]), Long.parseLong(f[1]), Double.parseDouble(f[2]), Long.parseLong(f[3]),
                Double.parseDouble(f[4]), Double.parseDouble(f[5]), Double.parseDouble(f[6]));
        }
    }

    static final Serde<Total> TOTAL = Serdes.serdeFrom(
        (topic, total) -> total == null ? null : total.text().getBytes(),
        (topic, bytes) -> bytes == null ? null : Total.parse(new String(bytes)));

    /** Puts the offset before the value: "17 1.5". */
    static class Numbered extends ContextualFixedKeyProcessor<String, String, String> {
        @Override
        public void process(FixedKeyRecord<String, String> r) {
            String bid = r.value().substring(r.value().indexOf(':') + 1, r.value().length() - 1);
            context().forward(r.withValue(context().recordMetadata().get().offset() + " " + bid));
        }
    }

    public static void main(String[] args) throws Exception {
        String brokers = args[0];
        String application = args[1];
        StreamsBuilder builder = new StreamsBuilder();
        Map<String, KGroupedStream<String, String>> inputs = new HashMap<>();
        for (int i = 2; i < args.length; i++) {
            String[] program = args[i].split(",");
            add(program, inputs.computeIfAbsent(program[0], topic -> input(builder, topic)));
        }
        run(builder, settings(brokers, application), inputs.keySet());
    }

    /** A null value is no record, as in ksqlDB: an aggregation of Kafka Streams alone would be called for it. */
    static KGroupedStream<String, String> input(StreamsBuilder builder, String topic) {
        KStream<String, String> ticks = builder.stream(topic, Consumed.with(Serdes.String(), Serdes.String()));
        return ticks.filter((key, value) -> value != null).processValues(Numbered::new).groupByKey();
    }

    static void add(String[] program, KGroupedStream<String, String> in) {
        long size = Long.parseLong(program[2]);
        Duration length = Duration.ofMillis(size);
        Duration advance = Duration.ofMillis(Long.parseLong(program[3]));
        Duration grace = Duration.ofMillis(Long.parseLong(program[4]));
        StoreType store = program[6].equals("memory") ? StoreType.IN_MEMORY : StoreType.ROCKS_DB;
        if (program[1].equals("session")) {
            finals(in.windowedBy(SessionWindows.ofInactivityGapAndGrace(length, grace)).aggregate(() -> Total.NONE,
                    (key, tick, total) -> total.and(Total.of(tick)), (key, a, b) -> a.and(b),
                    Materialized.<String, Total, SessionStore<Bytes, byte[]>>with(Serdes.String(), TOTAL).withLoggingDisabled().withStoreType(store)),
                WindowedSerdes.sessionWindowedSerdeFrom(String.class), program[5]);
            return;
        }
        if (program[1].equals("sliding")) {
            finals(in.windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(length, grace)).aggregate(() -> Total.NONE,
                    (key, tick, total) -> total.and(Total.of(tick)),
                    Materialized.<String, Total, WindowStore<Bytes, byte[]>>with(Serdes.String(), TOTAL).withLoggingDisabled().withStoreType(store)),
                WindowedSerdes.timeWindowedSerdeFrom(String.class, size), program[5]);
            return;
        }
        finals(in.windowedBy(TimeWindows.ofSizeAndGrace(length, grace).advanceBy(advance)).aggregate(() -> Total.NONE,
                (key, tick, total) -> total.and(Total.of(tick)),
                Materialized.<String, Total, WindowStore<Bytes, byte[]>>with(Serdes.String(), TOTAL).withLoggingDisabled().withStoreType(store)),
            WindowedSerdes.timeWindowedSerdeFrom(String.class, size), program[5]);
    }

    /** suppress, not EmitStrategy.onWindowClose: that one loses windows where stream time jumps (rule F7). */
    static void finals(KTable<Windowed<String>, Total> totals, Serde<Windowed<String>> keys, String topic) {
        totals.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded().withLoggingDisabled())).toStream()
            .to(topic, Produced.with(keys, TOTAL));
    }

    static Properties settings(String brokers, String application) {
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // a cache would let suppress see some updates only
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put("auto.offset.reset", "earliest");
        return p;
    }

    /** Runs until all records of the topics are taken, with its state in a folder that it deletes. */
    static void run(StreamsBuilder builder, Properties settings, Iterable<String> topics) throws Exception {
        Path state = Files.createTempDirectory("ashi-streams");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings);
             Admin admin = Admin.create(Map.of("bootstrap.servers", settings.get("bootstrap.servers")))) {
            streams.setUncaughtExceptionHandler(e -> {
                e.printStackTrace();
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            for (long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2); !taken(admin, settings, topics); Thread.sleep(100)) {
                if (System.nanoTime() > deadline || streams.state() == KafkaStreams.State.ERROR) {
                    throw new IllegalStateException("input is not taken: state " + streams.state());
                }
            }
        } finally {
            try (Stream<Path> files = Files.walk(state)) {
                files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
            }
        }
    }

    static Map<TopicPartition, Long> ends(Admin admin, Iterable<String> topics) throws Exception {
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        for (String topic : topics) {
            admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()
                .forEach(p -> latest.put(new TopicPartition(topic, p.partition()), OffsetSpec.latest()));
        }
        return admin.listOffsets(latest).all().get().entrySet().stream()
            .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
    }

    /**
     * A commit writes the results before the offsets, so the results of everything before these offsets are there. The ends come last: what
     * was written to an internal topic for the inputs that are taken is then before its end.
     */
    static boolean taken(Admin admin, Properties settings, Iterable<String> inputs) throws Exception {
        String application = settings.getProperty("application.id");
        Map<TopicPartition, OffsetAndMetadata> at = admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
        List<String> topics = new ArrayList<>();
        inputs.forEach(topics::add);
        admin.listTopics().names().get().stream().filter(t -> t.startsWith(application + "-") && !t.endsWith("-changelog")).forEach(topics::add);
        return ends(admin, topics).entrySet().stream()
            .allMatch(e -> e.getValue() == 0 || at.get(e.getKey()) != null && at.get(e.getKey()).offset() >= e.getValue());
    }
}
