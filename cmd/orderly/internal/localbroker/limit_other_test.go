//go:build !linux && !darwin

package localbroker

func limitFileSize() {}
