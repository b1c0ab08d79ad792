"""A producer for `orderly prove producer`, with confluent-kafka (librdkafka).

    pip install confluent-kafka
    orderly prove producer -- python3 examples/prove/writer.py {brokers} {topic} [NAME=VALUE ...]

It writes 500 numbered records of each of 20 keys. Settings of librdkafka are given as
NAME=VALUE; without any, they are librdkafka's own.
"""

import sys

from confluent_kafka import Producer

brokers, topic, *settings = sys.argv[1:]
producer = Producer({
    "bootstrap.servers": brokers,
    "batch.num.messages": 10,  # small batches: there is more to strike
    "reconnect.backoff.max.ms": 100,  # not ten seconds of waiting after each cut connection; it changes no order
    **dict(s.split("=", 1) for s in settings),
})
failed = 0


def told(error, _):
    global failed
    failed += error is not None


for n in range(1, 501):
    for key in range(20):
        producer.produce(topic, key=f"key-{key}", value='{"n":%d}' % n, on_delivery=told)
    producer.poll(0.005)  # as records come in an application: over some seconds
producer.flush()
print("failed:", failed)
