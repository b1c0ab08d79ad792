"""A consumer for `orderly prove consumer`, with confluent-kafka (librdkafka).

    pip install confluent-kafka
    orderly prove consumer -- python3 examples/prove/reader.py {brokers} {topic} {group} {member}

It processes one record after the other, says so, and then lets the offset be
committed. With "threads" behind it, it hands records to a pool of threads, as many
programs do; prove then shows what becomes of their order.
"""

import json
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer

brokers, topic, group, member, *mode = sys.argv[1:]
running = True


def end(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, end)


def process(m):
    key, number = m.key().decode(), json.loads(m.value())["n"]
    print(f"{member} start {key} {number}\n", end="", flush=True)
    time.sleep(0.001 * (number % 3))  # the work
    print(f"{member} done {key} {number}\n", end="", flush=True)


consumer = Consumer({
    "bootstrap.servers": brokers,
    "group.id": group,
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 500,
    "enable.auto.offset.store": False,  # store an offset when its record is processed, not when it is handed over
    "auto.commit.interval.ms": 500,
})
consumer.subscribe([topic])
pool = ThreadPoolExecutor(16)
try:
    while running:
        m = consumer.poll(0.1)
        if m is None or m.error():
            continue
        if "threads" in mode:
            pool.submit(process, m)
        else:
            process(m)
        consumer.store_offsets(m)
finally:
    consumer.close()  # commits, and leaves the group
