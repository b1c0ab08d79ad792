# "make test ARGS='-run Drain -v'" passes flags on to testall.
# Everything here also works without make: each recipe is one Go command, or nearly.
ARGS        ?=
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Files with this tag are tests in virtual time; both builds of their packages are checked.
VIRTUAL_TAG = synctests
VIRTUAL_PKGS = $(shell grep -rl --include='*.go' '^//go:build.*$(VIRTUAL_TAG)' . | sed 's|/[^/]*$$||' | sort -u)

# What users build on machines that we do not have. What is vetted differs by system
# only: make lint vets linux, and no file of ours is for one processor.
CROSS       = darwin/arm64 darwin/amd64 windows/amd64 linux/arm64
CROSS_VET   = darwin/arm64 windows/amd64
CROSS_PKGS  = ./... ./cmd/orderly/... ./metrics/prometheus/...

MODULE_DIRS = $(shell go work edit -json | sed -n 's/.*"DiskPath": "\(.*\)".*/\1/p')

.DEFAULT_GOAL := help
.PHONY: help demo test soak bench lint deps tidy build cross

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "make %-7s %s\n", $$1, $$2 }'

demo: ## order per key through a kill -9 and a rebalance, beside a naive consumer: needs only Go
	@go run ./cmd/orderly demo

test: ## all tests of all modules: some ten minutes on two cores
	@go run ./internal/testall $(ARGS)

soak: ## the same with full counts: hours
	@go run ./internal/testall -soak $(ARGS)

bench: ## speed beside a bare franz-go loop
	@go run ./bench

lint: ## gofmt, go vet and staticcheck, in all modules
	@unformatted=$$(gofmt -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not gofmt'ed (repair: gofmt -w .):"; echo "$$unformatted"; exit 1; fi
	go vet work
	go vet -tags $(VIRTUAL_TAG) $(VIRTUAL_PKGS)
	go run $(STATICCHECK) work
	go run $(STATICCHECK) -tags $(VIRTUAL_TAG) $(VIRTUAL_PKGS)

deps: ## the root module depends on franz-go only
	go test -count=1 -run '^TestDeps' .

tidy: ## go mod tidy, in all modules
	@for dir in $(MODULE_DIRS); do echo "go mod tidy in $$dir"; (cd $$dir && go mod tidy) || exit 1; done

build: ## bin/orderly
	go build -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/orderly

cross: ## build and vet for other systems
	@for target in $(CROSS); do \
		echo "$$target"; \
		export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		go build $(CROSS_PKGS) || exit 1; \
		case " $(CROSS_VET) " in *" $$target "*) go vet $(CROSS_PKGS) || exit 1;; esac; \
	done
