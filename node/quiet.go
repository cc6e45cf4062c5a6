package node

import (
	"log/slog"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"
)

// Quiet keeps the libraries from writing to standard error, or wherever the
// environment has them write (GOLOG_LOG_LEVEL, GOLOG_FILE): what they log names
// peers, with their addresses. It holds for the whole process, and must come
// before they log anything.
//
// Out of reach is libp2p's log of which peers it has met (package canonicallog),
// one in a hundred, as it takes its level from GOLOG_LOG_LEVEL before any code of
// ours runs: it is silent unless that asks for info or debug.
func Quiet() {
	golog.SetPrimaryCore(zapcore.NewNopCore())
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // and package log's, which goes with it
}
