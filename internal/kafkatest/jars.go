package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The broker itself, and a logger that writes to standard error: without one, a
// node that does not start would not say why.
const pom = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>orderly</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>%s</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`

// The version becomes a folder's name and a part of XML.
var versionPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// Jars returns the folder that holds the version's jars, in the user's cache. What
// is not there yet is downloaded with Maven, as it is configured on this machine.
func Jars(ctx context.Context, version string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for Kafka's jars: %w", err)
	}
	return jarsIn(ctx, filepath.Join(cache, "orderly", "kafka"), version, download)
}

// jarsIn is complete or absent, whoever is killed meanwhile: the folder appears by
// one rename. The lock only saves a second download.
func jarsIn(ctx context.Context, cache, version string, download func(ctx context.Context, version, dir string) error) (string, error) {
	if !versionPattern.MatchString(version) {
		return "", fmt.Errorf("%q is no version of Kafka: want one like %s", version, Latest)
	}
	dir := filepath.Join(cache, version)
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	temp, err := os.MkdirTemp(cache, version+".part-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := download(ctx, version, temp); err != nil {
		return "", fmt.Errorf("getting the jars of Kafka %s: %w", version, err)
	}
	if err := os.Rename(filepath.Join(temp, "jars"), dir); err != nil && !isDir(dir) {
		return "", err
	}
	return dir, nil
}

// Some 50 MB. Without a limit, a network that swallows packets would hang the tests.
const downloadLimit = 5 * time.Minute

// download puts the jars into dir/jars.
func download(ctx context.Context, version, dir string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downloadLimit, fmt.Errorf("no end after %s", downloadLimit))
	defer cancel()
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("no Maven: mvn is not on PATH")
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), fmt.Appendf(nil, pom, version), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("mvn: %w: %s", err, firstError(string(out)))
	}
	if found, err := filepath.Glob(filepath.Join(dir, "jars", "kafka_*.jar")); err != nil || len(found) == 0 {
		return errors.New("mvn ended well, and the jar of Kafka is not there")
	}
	return nil
}

// firstError is the line of Maven's many that says what happened.
func firstError(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ERROR") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(out)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
