package pipe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asWorker makes the test program a worker: what it does is in a record's value.
const asWorker = "ORDERLY_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(asWorker) {
	case "":
		goleak.VerifyTestMain(m)
	case "deaf": // neither reads nor ends
		select {}
	case "gone":
	default:
		work()
	}
}

func work() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			fmt.Fprintln(os.Stderr, "worker: no more input")
			return
		}
		var r struct{ Value string }
		if err := json.Unmarshal(line, &r); err != nil {
			panic(err)
		}
		what, _, _ := strings.Cut(r.Value, " ")
		switch what {
		case "fail":
			fmt.Println(`{"error":"it is broken"}`)
		case "say":
			fmt.Println(strings.TrimPrefix(r.Value, "say "))
		case "twice":
			fmt.Print("{\"ok\":true}\n{\"ok\":true}\n")
		case "half":
			fmt.Print(`{"ok":true}`)
			os.Exit(0)
		case "long":
			fmt.Println(strings.Repeat("x", maxAnswer+1))
		case "die":
			os.Exit(3)
		case "hang":
			// What it starts is to end with it.
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), asWorker+"=deaf")
			child.Stdout = os.Stdout
			if err := child.Start(); err != nil {
				panic(err)
			}
			fmt.Fprintln(os.Stderr, "hanging with", child.Process.Pid)
			select {}
		case "late": // says the same again when it is told to, and that it has
			fmt.Println(`{"ok":true}`)
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.Value, "late "))
			if err != nil {
				panic(err)
			}
			told := make([]byte, 1)
			if _, err := io.ReadFull(conn, told); err != nil {
				panic(err)
			}
			fmt.Println(`{"ok":true}`)
			if _, err := conn.Write(told); err != nil {
				panic(err)
			}
		case "leave": // when it is told to, and reads nothing more
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.Value, "leave "))
			if err != nil {
				panic(err)
			}
			fmt.Println(`{"ok":true}`)
			_, _ = conn.Read(make([]byte, 1))
			return
		case "once":
			fmt.Println(`{"ok":true}`)
			return
		case "env":
			fmt.Printf("{\"error\":%q}\n", strings.Join(os.Environ(), " "))
		default:
			fmt.Println(`{"ok":true}`)
		}
	}
}
