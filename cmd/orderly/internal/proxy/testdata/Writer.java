import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes numbered records of 20 keys, and says how many failed. It ends with its standard input.
 * Arguments: brokers, topic, records, pause in microseconds after each, then settings name=value.
 */
class Writer {
    public static void main(String[] args) throws Exception {
        var watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException e) {
            }
            Runtime.getRuntime().halt(3);
        });
        watch.setDaemon(true);
        watch.start();
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error"); // a retry is no news here
        var p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("client.id", "writer-java");
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        for (var i = 4; i < args.length; i++) {
            var setting = args[i].split("=", 2);
            p.put(setting[0], setting[1]);
        }
        var failed = new AtomicInteger();
        try (var producer = new KafkaProducer<String, String>(p)) {
            var records = Integer.parseInt(args[2]);
            var pause = Long.parseLong(args[3]) * 1000;
            for (var i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(args[1], "key-" + i % 20, "" + i / 20), (meta, error) -> {
                    if (error != null) {
                        failed.incrementAndGet();
                        System.err.println(error);
                    }
                });
                for (var until = System.nanoTime() + pause; System.nanoTime() < until; ) {
                    Thread.onSpinWait();
                }
            }
            producer.flush();
        }
        System.out.println("failed " + failed.get());
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
