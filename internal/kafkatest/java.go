package kafkatest

import (
	"context"
	"os/exec"
	"path/filepath"
)

// JavaSource is the command that compiles a single file of Java source in memory
// and runs it, with the version's jars on the class path: the clients that Kafka
// itself is shipped with. The program has to end when its standard input does:
// it then never outlives the test. Ask [Require] first.
func JavaSource(ctx context.Context, version, file string, args ...string) (*exec.Cmd, error) {
	jars, err := Jars(ctx, version)
	if err != nil {
		return nil, err
	}
	args = append([]string{
		"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(jars, "*"), file,
	}, args...)
	return exec.CommandContext(ctx, java(), args...), nil
}
