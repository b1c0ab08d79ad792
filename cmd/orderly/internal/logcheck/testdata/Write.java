import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes one record for each of the keys key-FROM to key-TO. Arguments: brokers, topic, FROM, TO, settings as name=value.
 * With a transactional.id, every hundred records are a transaction, and every third of those is aborted.
 */
class Write {
    public static void main(String[] args) throws Exception {
        var p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        for (int i = 4; i < args.length; i++) {
            var at = args[i].indexOf('=');
            p.put(args[i].substring(0, at), args[i].substring(at + 1));
        }
        var transactional = p.containsKey("transactional.id");
        try (var producer = new KafkaProducer<String, String>(p)) {
            if (transactional) {
                producer.initTransactions();
            }
            Future<RecordMetadata> last = null;
            int from = Integer.parseInt(args[2]), to = Integer.parseInt(args[3]);
            for (int i = from; i < to; i++) {
                if (transactional && i % 100 == 0) {
                    producer.beginTransaction();
                }
                last = producer.send(new ProducerRecord<>(args[1], "key-" + i, "{\"n\":" + i + "}"));
                if (transactional && i % 100 == 99) {
                    if (i / 100 % 3 == 2) {
                        producer.flush();
                        producer.abortTransaction();
                    } else {
                        producer.commitTransaction();
                    }
                }
            }
            producer.flush();
            last.get();
        }
    }
}
