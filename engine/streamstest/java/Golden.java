import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.serialization.DoubleSerializer;
import org.apache.kafka.common.serialization.IntegerSerializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.kstream.SessionWindowedSerializer;
import org.apache.kafka.streams.kstream.TimeWindowedSerializer;
import org.apache.kafka.streams.kstream.Window;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.kstream.internals.TimeWindow;
import org.apache.kafka.streams.kstream.internals.WindowedSerializer;
import org.apache.kafka.streams.kstream.internals.WindowedStreamPartitioner;

/** Prints ../testdata/golden.json: keys, plain and windowed, as Kafka's own serializers write and partition them. */
public class Golden {
    static final int[] PARTITIONS = {1, 2, 3, 7, 12, 100};
    static final long NEWEST = Long.MAX_VALUE - 1;
    static final long[][] TIMES = {{0, 1}, {0, 60_000}, {1398945600000L, 1398945660000L}, {255, 65_536}, {Long.MAX_VALUE - 60_000, NEWEST}};
    static final long[][] SESSIONS = {{0, 0}, {0, 1}, {1398945600000L, 1398945600000L}, {1398945600000L, 1398945723456L}, {1, NEWEST}};

    static final List<String> lines = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        all("string", new StringSerializer(), "", "a", "EUR/USD", "EUR/USD ", "Grüße", "日本", "𝄞 clef", "\u0000", "\"\\\n", "x".repeat(33));
        all("long", new LongSerializer(), 0L, 1L, -1L, 255L, 1398945600000L, Long.MIN_VALUE, Long.MAX_VALUE);
        all("int", new IntegerSerializer(), 0, 1, -1, 65_536, Integer.MIN_VALUE, Integer.MAX_VALUE);
        all("double", new DoubleSerializer(), 0.0, -0.0, 1.0, -1.5, 0.1, Double.MIN_VALUE, Double.MAX_VALUE, Double.NEGATIVE_INFINITY,
            Double.POSITIVE_INFINITY, Double.NaN);
        new PrintStream(System.out, true, StandardCharsets.UTF_8).print("[\n" + String.join(",\n", lines) + "\n]\n");
    }

    @SafeVarargs
    static <K> void all(String type, Serializer<K> serializer, K... keys) throws Exception {
        for (K key : keys) {
            byte[] bytes = serializer.serialize("topic", key);
            Map<String, Integer> plain = new TreeMap<>();
            for (int n : PARTITIONS) {
                plain.put(Integer.toString(n), BuiltInPartitioner.partitionForKey(bytes, n));
            }
            line(type, key, "none", null, bytes, plain);
            for (long[] w : TIMES) {
                windowed(type, key, "time", new TimeWindow(w[0], w[1]), new TimeWindowedSerializer<>(serializer));
            }
            for (long[] w : SESSIONS) {
                windowed(type, key, "session", new SessionWindow(w[0], w[1]), new SessionWindowedSerializer<>(serializer));
            }
        }
    }

    static <K> void windowed(String type, K key, String form, Window window, WindowedSerializer<K> serializer) throws Exception {
        Windowed<K> windowed = new Windowed<>(key, window);
        Map<String, Integer> partitions = new TreeMap<>();
        for (int n : PARTITIONS) {
            Set<Integer> chosen = new WindowedStreamPartitioner<K, byte[]>(serializer).partitions("topic", windowed, null, n)
                .orElse(Collections.emptySet());
            partitions.put(Integer.toString(n), chosen.iterator().next());
        }
        line(type, key, form, window, serializer.serialize("topic", windowed), partitions);
    }

    static void line(String type, Object key, String form, Window window, byte[] bytes, Map<String, Integer> partitions) throws Exception {
        Map<String, Object> v = new LinkedHashMap<>();
        v.put("type", type);
        v.put("key", key.toString());
        v.put("window", form);
        if (window != null) {
            v.put("start", window.start());
            v.put("end", window.end());
        }
        v.put("bytes", HexFormat.of().formatHex(bytes));
        v.put("murmur2", Utils.murmur2(bytes));
        v.put("partitions", partitions);
        lines.add(new ObjectMapper().writeValueAsString(v));
    }
}
