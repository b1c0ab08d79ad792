package orderly_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// riskLog keeps log lines about topics.
type riskLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *riskLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// lines are those at WARN that name a rule.
func (l *riskLog) lines(rule string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "rule="+rule) && strings.Contains(line, "topic=orders") {
			n++
		}
	}
	return n
}

// riskCluster answers questions for configs with these values.
func riskCluster(t *testing.T, brokers int, configs map[string]string) *kfake.Cluster {
	t.Helper()
	cl, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	cl.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cl.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			out := kmsg.NewDescribeConfigsResponseResource()
			out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
			if configs == nil {
				out.ErrorCode = kerr.TopicAuthorizationFailed.Code
			}
			for k, v := range configs {
				c := kmsg.NewDescribeConfigsResponseResourceConfig()
				c.Name, c.Value = k, kmsg.StringPtr(v)
				out.Configs = append(out.Configs, c)
			}
			resp.Resources = append(resp.Resources, out)
		}
		return resp, nil, true
	})
	return cl
}

func riskLogger() (*slog.Logger, *riskLog) {
	l := &riskLog{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

// What a topic's settings lose is logged once, with doctor's id; a cluster for
// development, and one that does not tell, are left alone.
func TestTopicRisksAreLoggedOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		brokers int
		configs map[string]string
		want    map[string]int
	}{
		{"weak", 3, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}, map[string]int{"B01": 0, "B02": 1, "B03": 0, "B05": 1}},
		{"all copies", 3, map[string]string{"min.insync.replicas": "3", "unclean.leader.election.enable": "false"}, map[string]int{"B02": 0, "B03": 1, "B05": 0}},
		{"good", 3, map[string]string{"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}, map[string]int{"B01": 0, "B02": 0, "B03": 0, "B05": 0}},
		{"refused", 3, nil, map[string]int{"B02": 0, "B03": 0, "B05": 0}},
		{"two brokers", 2, nil, map[string]int{"B01": 1, "B02": 0}},
		{"one broker", 1, map[string]string{"min.insync.replicas": "1"}, map[string]int{"B01": 0, "B02": 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := riskCluster(t, c.brokers, c.configs)
			logger, lines := riskLogger()
			p, err := orderly.NewProducer(orderly.ProducerConfig{Brokers: cluster.ListenAddrs(), Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if res := p.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Key: []byte("k")}); res.FirstErr() != nil {
					t.Fatal(res.FirstErr())
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for rule, n := range c.want {
				if got := lines.lines(rule); got != n {
					t.Errorf("producer: %s is logged %d times, want %d\n%s", rule, got, n, lines.buf.String())
				}
			}

			logger, lines = riskLogger()
			handled := make(chan struct{}, 10)
			cons, err := orderly.NewConsumer(orderly.ConsumerConfig{
				Brokers: cluster.ListenAddrs(), Group: "g", Topics: []string{"orders"}, Logger: logger,
				Handler: func(context.Context, *orderly.Message) error { handled <- struct{}{}; return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- cons.Run(ctx) }()
			for range 2 {
				select {
				case <-handled:
				case err := <-done:
					t.Fatalf("ended: %v\n%s", err, lines.buf.String())
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for rule, n := range c.want {
				if got := lines.lines(rule); got != n {
					t.Errorf("consumer: %s is logged %d times, want %d\n%s", rule, got, n, lines.buf.String())
				}
			}
		})
	}
}
