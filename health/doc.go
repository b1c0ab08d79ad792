// Package health serves what a Consumer says of itself over HTTP:
//
//	http.Handle("/", health.Handler(consumer, health.Options{Metrics: promhttp.Handler()}))
//
//	/livez    200 while the consumer's own loops go on, else 503 with their names
//	/readyz   200 while it takes part in its group, else 503 with the reason
//	/state    its State as JSON: group, partitions, why each waits
//	/keys     blocked keys, longest first; ?limit=n, ?topic=t, ?state=s
//	/metrics  the handler given
//
// /livez never looks at brokers, handlers or sinks: a restart would mend none of
// them, and costs a rebalance. There is no authentication: serve it where only
// operators come.
package health
