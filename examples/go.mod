module github.com/orderly-go/orderly/examples

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.12.0
	github.com/orderly-go/orderly v0.0.0
	github.com/orderly-go/orderly/store/postgres v0.0.0
	github.com/orderly-go/orderly/store/sqlite v0.0.0
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kadm v1.19.0
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c
)

replace (
	github.com/orderly-go/orderly => ..
	github.com/orderly-go/orderly/store/postgres => ../store/postgres
	github.com/orderly-go/orderly/store/sqlite => ../store/sqlite
)
