package integration

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if wasChild() || wasSpaceNode() {
		return
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	removeBinary()
	os.Exit(code)
}

// goHome fails a test, once all its other clean-up is done, that leaves
// goroutines behind. Such a test does not run in parallel with others. Those do,
// after all the rest, that mostly wait, for other programs or a message's next
// attempt, or use one core only; TestMain holds them to the same.
func goHome(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

// count is few at everyday counts and many with CHATNT_LONG=1.
func count(few, many int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}
