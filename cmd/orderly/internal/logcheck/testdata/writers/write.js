// Writes one record for each of the keys key-FROM to key-TO with KafkaJS.
// Arguments: brokers, topic, FROM, TO, and "legacy" (its partitioner of version 1), "idempotent", "acks=1".
const { Kafka, Partitioners, logLevel } = require('kafkajs')
const [brokers, topic, from, to, ...how] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.ERROR })
const producer = kafka.producer({
  createPartitioner: how.includes('legacy') ? Partitioners.LegacyPartitioner : Partitioners.DefaultPartitioner,
  idempotent: how.includes('idempotent'),
})
const messages = []
for (let i = Number(from); i < Number(to); i++) messages.push({ key: `key-${i}`, value: `{"n":${i}}` })
producer.connect()
  .then(() => producer.send({ topic, messages, acks: how.includes('acks=1') ? 1 : -1 }))
  .then(() => producer.disconnect())
  .then(() => console.log('kafkajs', require('kafkajs/package.json').version))
