import java.time.Duration;
import java.util.HashSet;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Runs joins in Kafka Streams over topics as they are, and ends when all of their records are taken.
 *
 * <p>Arguments: brokers, application, then one per join: form,left,right,output,before,after,grace, in milliseconds. Each join has topics of its
 * own, so that it is a sub-topology of its own: records of its two topics are taken by time and by nothing else. Keys are strings, values
 * {"v":"L7","f":"k3"}; a result is L7+R3, with null for a side that is not there. A left row's f is the right key of a foreign join.
 */
public class Joins {
    static final Consumed<String, String> IN = Consumed.with(Serdes.String(), Serdes.String());
    static final ValueJoiner<String, String, String> BOTH = (left, right) -> field(left, 3) + "+" + field(right, 3);
    static final ValueJoiner<String, String, String> SWAPPED = (right, left) -> BOTH.apply(left, right);

    static String field(String json, int quote) {
        return json == null ? "null" : json.split("\"")[quote];
    }

    public static void main(String[] args) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        Set<String> inputs = new HashSet<>();
        for (int i = 2; i < args.length; i++) {
            String[] join = args[i].split(",");
            inputs.add(join[1]);
            inputs.add(join[2]);
            rows(builder, join).to(join[3], Produced.with(Serdes.String(), Serdes.String()));
        }
        Finals.run(builder, settings(args[0], args[1]), inputs);
    }

    /**
     * No throttle: it would hold the rows that go out alone back by the clock of the machine. max.task.idle.ms is 0, its default: a task waits for
     * what the broker has of its other topic, and all is there before it starts.
     */
    static Properties settings(String brokers, String application) {
        Properties p = Finals.settings(brokers, application);
        p.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, 0L);
        p.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, 0L);
        p.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, InMemoryDslStoreSuppliers.class);
        return p;
    }

    static KStream<String, String> rows(StreamsBuilder builder, String[] join) {
        return switch (join[0].split(" ")[0]) {
            case "streams" -> streams(builder.stream(join[1], IN), builder.stream(join[2], IN), join);
            case "lookup" -> lookup(builder.stream(join[1], IN), table(builder, join[2]), join[0]);
            default -> tables(table(builder, join[1]), table(builder, join[2]), join[0]).toStream();
        };
    }

    static KTable<String, String> table(StreamsBuilder builder, String topic) {
        return builder.table(topic, IN, Materialized.<String, String, KeyValueStore<Bytes, byte[]>>with(Serdes.String(), Serdes.String()).withLoggingDisabled());
    }

    /** A right join is a left join with its sides swapped, as ksqlDB plans it. */
    static KStream<String, String> streams(KStream<String, String> left, KStream<String, String> right, String[] join) {
        Duration before = Duration.ofMillis(Long.parseLong(join[4]));
        Duration after = Duration.ofMillis(Long.parseLong(join[5]));
        JoinWindows w = JoinWindows.ofTimeDifferenceAndGrace(before, Duration.ofMillis(Long.parseLong(join[6])));
        StreamJoined<String, String, String> stores = StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()).withLoggingDisabled();
        return switch (join[0]) {
            case "streams inner" -> left.join(right, BOTH, w.after(after), stores);
            case "streams left" -> left.leftJoin(right, BOTH, w.after(after), stores);
            case "streams right" -> right.leftJoin(left, SWAPPED, w.before(after), stores);
            default -> left.outerJoin(right, BOTH, w.after(after), stores);
        };
    }

    static KStream<String, String> lookup(KStream<String, String> left, KTable<String, String> right, String form) {
        return form.equals("lookup inner") ? left.join(right, BOTH) : left.leftJoin(right, BOTH);
    }

    static KTable<String, String> tables(KTable<String, String> left, KTable<String, String> right, String form) {
        return switch (form) {
            case "tables inner" -> left.join(right, BOTH);
            case "tables left" -> left.leftJoin(right, BOTH);
            case "tables right" -> right.leftJoin(left, SWAPPED);
            case "tables outer" -> left.outerJoin(right, BOTH);
            case "foreign inner" -> left.join(right, Joins::foreignKey, BOTH);
            default -> left.leftJoin(right, Joins::foreignKey, BOTH);
        };
    }

    /** A row with an empty f has none. */
    static String foreignKey(String left) {
        String key = field(left, 7);
        return key.isEmpty() ? null : key;
    }
}
