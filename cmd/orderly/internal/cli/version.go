package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versions are what "orderly version --json" prints.
type versions struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	FranzGo  string `json:"franz_go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

const franzGo = "github.com/twmb/franz-go"

// versionsOf takes what the linker said, and what the build has recorded.
func versionsOf(version string, info *debug.BuildInfo) versions {
	v := versions{Version: version, Go: runtime.Version(), FranzGo: "unknown", OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info == nil {
		return v
	}
	// "go install ...@v1.2.3" sets no variable, but it knows the version.
	if main := info.Main.Version; v.Version == "dev" && main != "" && main != "(devel)" {
		v.Version = main
	}
	for _, d := range info.Deps {
		if d.Path == franzGo {
			if d.Replace != nil {
				d = d.Replace
			}
			v.FranzGo = d.Version
		}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

func newVersion(version string, s Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of orderly, Go and franz-go",
		Example: `  orderly version
  orderly version --json`,
		Args: noArgs,
		RunE: run(func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			v := versionsOf(version, info)
			if asJSON {
				return printJSON(s.Out, v)
			}
			_, err := fmt.Fprintf(s.Out, "orderly %s\n%s %s/%s\nfranz-go %s\n", v.Version, v.Go, v.OS, v.Arch, v.FranzGo)
			return err
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: version, revision, go, franz_go, os, arch")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
