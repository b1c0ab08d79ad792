// Command gen writes docs/rules.md from the table of rules.
package main

import (
	"log"
	"os"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

func main() {
	if err := os.WriteFile("../../../../../docs/rules.md", []byte(rules.Page()), 0o644); err != nil {
		log.Fatal(err)
	}
}
