// Command write writes one record for each of the keys key-FROM to key-TO with Sarama or kafka-go.
// Arguments: client (sarama, kafka-go, kafka-go-hash), brokers, topic, FROM, TO.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	client, brokers, topic := os.Args[1], os.Args[2], os.Args[3]
	from, err := strconv.Atoi(os.Args[4])
	check(err)
	to, err := strconv.Atoi(os.Args[5])
	check(err)
	if client == "sarama" {
		cfg := sarama.NewConfig()
		cfg.Producer.Return.Successes = true
		p, err := sarama.NewSyncProducer([]string{brokers}, cfg)
		check(err)
		for i := from; i < to; i++ {
			_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprintf("key-%d", i)), Value: sarama.StringEncoder(fmt.Sprintf(`{"n":%d}`, i))})
			check(err)
		}
		check(p.Close())
		return
	}
	w := &kafka.Writer{Addr: kafka.TCP(brokers), Topic: topic, BatchSize: 50, RequiredAcks: kafka.RequireAll}
	if client == "kafka-go-hash" {
		w.Balancer = &kafka.Hash{}
	}
	var all []kafka.Message
	for i := from; i < to; i++ {
		all = append(all, kafka.Message{Key: []byte(fmt.Sprintf("key-%d", i)), Value: []byte(fmt.Sprintf(`{"n":%d}`, i))})
	}
	check(w.WriteMessages(context.Background(), all...))
	check(w.Close())
}
