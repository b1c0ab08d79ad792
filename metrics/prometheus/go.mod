module github.com/orderly-go/orderly/metrics/prometheus

go 1.26.0

require (
	github.com/orderly-go/orderly v0.0.0
	github.com/prometheus/client_golang v1.25.0
)

replace github.com/orderly-go/orderly => ../..
