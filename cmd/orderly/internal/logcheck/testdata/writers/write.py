"""Writes one record for each of the keys key-FROM to key-TO.

Arguments: client (confluent-kafka, kafka-python, aiokafka), brokers, topic, FROM, TO, settings as name=value in the client's own spelling.
"""
import asyncio
import sys


def value(text):
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else text


client, brokers, topic, first, last = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
settings = {n: value(v) for n, v in (a.split("=", 1) for a in sys.argv[6:])}
records = [(b"key-%d" % i, b'{"n":%d}' % i) for i in range(first, last)]

if client == "confluent-kafka":
    from confluent_kafka import Producer, libversion, version

    print("confluent-kafka", version(), "librdkafka", libversion()[0])
    p = Producer({"bootstrap.servers": brokers, **settings})
    if "transactional.id" in settings:
        p.init_transactions()
        p.begin_transaction()
    for k, v in records:
        p.produce(topic, key=k, value=v)
    p.flush()
    if "transactional.id" in settings:
        p.commit_transaction()
elif client == "kafka-python":
    import kafka

    print("kafka-python", kafka.__version__)
    p = kafka.KafkaProducer(bootstrap_servers=brokers, **settings)
    for k, v in records:
        p.send(topic, key=k, value=v)
    p.flush()
    p.close()
elif client == "aiokafka":
    import aiokafka

    async def run():
        p = aiokafka.AIOKafkaProducer(bootstrap_servers=brokers, **settings)
        await p.start()
        for k, v in records:
            await p.send(topic, key=k, value=v)
        await p.stop()

    print("aiokafka", aiokafka.__version__)
    asyncio.run(run())
