import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A plain consumer, as its documentation shows it: one thread polls, handles and commits what the poll returned.
 * A record is handled by whoever reads standard output: the next one comes when a line has come back.
 * It ends, and leaves the group, when standard input does.
 */
class Plain implements ConsumerRebalanceListener {
    static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in));

    public static void main(String[] args) throws Exception {
        var p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("group.id", args[1]);
        p.put("client.id", "plain-java");
        p.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("max.poll.records", "10");
        p.put("session.timeout.ms", "6000");
        p.put("heartbeat.interval.ms", "100");
        p.put("metadata.max.age.ms", "1000");
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", StringDeserializer.class.getName());
        var ended = false;
        try (var consumer = new KafkaConsumer<String, String>(p)) {
            consumer.subscribe(List.of(args[2]), new Plain());
            while (!ended) {
                var records = consumer.poll(Duration.ofMillis(50));
                for (var r : records) {
                    ended = !told("record " + r.partition() + " " + r.offset() + " " + r.key() + " " + r.value());
                    if (ended) {
                        return; // in the middle of a batch: killed, so to say
                    }
                }
                consumer.commitSync();
                ended = !told("idle");
            }
        }
    }

    /** Says a line, and waits for the answer; false when there is none any more. */
    static boolean told(String line) {
        System.out.println(line);
        System.out.flush();
        try {
            return in.readLine() != null;
        } catch (java.io.IOException e) {
            return false;
        }
    }

    public void onPartitionsAssigned(Collection<TopicPartition> parts) { told("assigned " + numbers(parts)); }

    public void onPartitionsRevoked(Collection<TopicPartition> parts) { told("revoked " + numbers(parts)); }

    static String numbers(Collection<TopicPartition> parts) {
        var all = new StringBuilder();
        for (var p : parts) {
            all.append(p.partition()).append(' ');
        }
        return all.toString();
    }
}
