import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A producer for "orderly prove producer", with Apache Kafka's own client.
 *
 * orderly prove producer -- java -cp 'libs/*' examples/prove/Writer.java {brokers} {topic} [NAME=VALUE ...]
 *
 * where libs has kafka-clients and slf4j-api. It writes 500 numbered records of each of 20 keys. Settings are given
 * as NAME=VALUE; without any, they are the client's own.
 */
class Writer {
    public static void main(String[] args) throws Exception {
        var p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("batch.size", "512"); // small batches: there is more to strike
        p.put("reconnect.backoff.max.ms", "100"); // no long waiting after each cut connection; it changes no order
        for (var i = 2; i < args.length; i++) {
            var setting = args[i].split("=", 2);
            p.put(setting[0], setting[1]);
        }
        var failed = new AtomicInteger();
        try (var producer = new KafkaProducer<String, String>(p)) {
            for (var n = 1; n <= 500; n++) {
                for (var key = 0; key < 20; key++) {
                    producer.send(new ProducerRecord<>(args[1], "key-" + key, "{\"n\":" + n + "}"), (meta, error) -> {
                        if (error != null) {
                            failed.incrementAndGet();
                        }
                    });
                }
                Thread.sleep(5); // as records come in an application: over some seconds
            }
        }
        System.out.println("failed: " + failed.get());
    }
}
