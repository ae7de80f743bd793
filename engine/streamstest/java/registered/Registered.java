import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.Decoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes and reads records in Confluent's frame with Avro's and Protobuf's own Java classes. The frame itself is taken apart here by hand,
 * from its description: a zero byte, the schema's id, of Protobuf the message's index.
 *
 * <p>Arguments: brokers, then write TOPIC KEYID KEYSCHEMA ID SCHEMA, or read TOPIC KEYSCHEMA SCHEMA COUNT with a schema of Avro (a file), or in
 * its place a FileDescriptorProto (a file that ends in .pb). What is written are four quotes; what is read is printed, a record a line.
 */
public class Registered {
    public static void main(String[] args) throws Exception {
        if (args[1].equals("write")) {
            write(args[0], args[2], Integer.parseInt(args[3]), avro(args[4]), Integer.parseInt(args[5]), args[6]);
        } else {
            read(args[0], args[2], avro(args[3]), args[4], Integer.parseInt(args[5]));
        }
    }

    static Schema avro(String file) throws IOException {
        return new Schema.Parser().parse(Files.readString(Path.of(file)));
    }

    static void write(String brokers, String topic, int keyId, Schema keys, int id, String file) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", brokers);
        String[] pairs = {"EURUSD", "EURUSD", "GBPUSD", "EURUSD"};
        double[] bids = {1.25, 1.5, -2, 1};
        long[] at = {0, 1000, 2000, 120_000};
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < pairs.length; i++) {
                byte[] key = frame(keyId, new byte[0], encode(keys, pairs[i]));
                byte[] value = file.endsWith(".pb") ? text(id, file, pairs[i] + " " + bids[i]) : frame(id, new byte[0], quote(file, pairs[i], bids[i], i));
                producer.send(new ProducerRecord<>(topic, 0, 1_700_006_400_000L + at[i], key, value)).get();
            }
        }
    }

    /** A quote in the schema of a file, which has other columns than the reader's. */
    static byte[] quote(String file, String pair, double bid, int i) throws IOException {
        Schema schema = avro(file);
        GenericRecord r = new GenericData.Record(schema);
        r.put("PAIR", pair);
        r.put("venue", "V" + i);
        r.put("bid", (float) bid);
        Schema decimal = schema.getField("size").schema();
        r.put("size", new Conversions.DecimalConversion().toBytes(new java.math.BigDecimal(i + ".25"), decimal, LogicalTypes.decimal(9, 2)));
        r.put("at", (1_700_006_400_000L + (i == 3 ? 120_000 : i * 1000)) * 1000);
        return encode(schema, r);
    }

    static byte[] encode(Schema schema, Object datum) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<>(schema).write(datum, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    /** A google.protobuf.StringValue, the eighth message of its file. */
    static byte[] text(int id, String file, String value) throws Exception {
        Descriptor d = file(file).findMessageTypeByName("StringValue");
        ByteBuffer index = ByteBuffer.allocate(2).put((byte) 2).put((byte) (2 * d.getIndex()));
        return frame(id, index.array(), DynamicMessage.newBuilder(d).setField(d.findFieldByName("value"), value).build().toByteArray());
    }

    static FileDescriptor file(String file) throws Exception {
        return FileDescriptor.buildFrom(FileDescriptorProto.parseFrom(Files.readAllBytes(Path.of(file))), new FileDescriptor[0]);
    }

    static byte[] frame(int id, byte[] index, byte[] payload) {
        return ByteBuffer.allocate(5 + index.length + payload.length).put((byte) 0).putInt(id).put(index).put(payload).array();
    }

    static void read(String brokers, String topic, Schema keys, String file, int count) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", brokers, "isolation.level", "read_committed", "auto.offset.reset", "earliest");
        long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (int n = 0; n < count; ) {
                if (System.nanoTime() > deadline) throw new IllegalStateException(n + " records of " + count + " in time");
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                    ByteBuffer key = open(r.key());
                    ByteBuffer value = open(r.value());
                    String line = file.endsWith(".pb") ? text(file, value) : decode(avro(file), value, 0).toString();
                    System.out.println(decode(keys, key, 8) + "@" + key.getLong() + " " + line);
                    n++;
                }
            }
        }
    }

    /** Takes the frame off: what is left is behind it. */
    static ByteBuffer open(byte[] framed) {
        ByteBuffer b = ByteBuffer.wrap(framed);
        if (b.get() != 0) throw new IllegalStateException("no frame");
        b.getInt();
        return b;
    }

    /** A datum, and behind it as many bytes as are said: where it ends, they begin. */
    static Object decode(Schema schema, ByteBuffer b, int behind) throws IOException {
        Decoder decoder = DecoderFactory.get().binaryDecoder(b.array(), b.position(), b.remaining() - behind, null);
        GenericData data = new GenericData();
        data.addLogicalTypeConversion(new Conversions.DecimalConversion());
        Object datum = new GenericDatumReader<>(schema, schema, data).read(null, decoder);
        if (!((org.apache.avro.io.BinaryDecoder) decoder).isEnd()) throw new IllegalStateException("bytes are left");
        b.position(b.limit() - behind);
        return datum;
    }

    static String text(String file, ByteBuffer b) throws Exception {
        if (b.get() != 2) throw new IllegalStateException("one step to the message");
        Descriptor d = file(file).getMessageTypes().get(b.get() / 2);
        byte[] rest = new byte[b.remaining()];
        b.get(rest);
        DynamicMessage m = DynamicMessage.parseFrom(d, rest);
        return d.getFullName() + " " + m.getField(d.findFieldByName("value"));
    }
}
