package prove

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orderly-go/orderly/internal/kafkatest"
)

// nodeProperties make a node that is gone be missed soon.
var nodeProperties = map[string]string{"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}

// StartNodes starts three brokers of a Kafka that stands in a directory: a download,
// unpacked, or the folder of its jars. They keep their data in a temporary folder,
// and are gone when they are closed.
func StartNodes(ctx context.Context, home string) (*kafkatest.Cluster, error) {
	jars := home
	if info, err := os.Stat(filepath.Join(home, "libs")); err == nil && info.IsDir() {
		jars = filepath.Join(home, "libs")
	}
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); err != nil || len(found) == 0 {
		return nil, refusef("--kafka-home: there is no Kafka in %s: it has no libs/kafka_*.jar; name the directory of an unpacked download of Apache Kafka", home)
	}
	if err := kafkatest.CheckJava(ctx); err != nil {
		return nil, refusef("the brokers of this scenario need Java 17 or newer, as JAVA_HOME or on PATH: %v", err)
	}
	nodes, err := kafkatest.Start(ctx, kafkatest.Options{Nodes: 3, Jars: jars, Properties: nodeProperties})
	if err != nil {
		return nil, &ClusterError{fmt.Sprintf("three brokers of %s could not be started", home), err}
	}
	return nodes, nil
}
