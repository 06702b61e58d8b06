// Package testserver starts servers for tests to call.
package testserver

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// RootKey is the first root key of every server that Start starts.
const RootKey = "root_0123456789abcdef0123456789abcdef"

// Start starts the program that PORTCULLIS_TEST_PROGRAM names in a folder of its own, with more flags, and says at
// which HOST:PORT it listens. It ends with the test.
func Start(t *testing.T, flags ...string) string {
	t.Helper()
	program := os.Getenv("PORTCULLIS_TEST_PROGRAM")
	if program == "" {
		t.Skip("PORTCULLIS_TEST_PROGRAM does not name a portcullis to test with")
	}
	server := exec.CommandContext(t.Context(), program, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
	server.Dir = t.TempDir()
	server.Env = []string{"PORTCULLIS_BOOTSTRAP_ROOT_KEY=" + RootKey}
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, rest, found := strings.Cut(lines.Text(), "listening on "); found {
			// It would wait for somebody to read what else it says.
			go func() {
				for lines.Scan() {
				}
			}()
			return strings.Fields(rest)[0]
		}
	}
	t.Fatal("the server ended before it listened")
	return ""
}
