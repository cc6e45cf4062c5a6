package node

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// hush is a log that can be turned off: once the profile is destroyed, that nothing
// can be stored any more is no news.
type hush struct {
	slog.Handler
	off *atomic.Bool
}

func newHush(log *slog.Logger) hush {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return hush{log.Handler(), new(atomic.Bool)}
}

func (h hush) Enabled(ctx context.Context, level slog.Level) bool {
	return !h.off.Load() && h.Handler.Enabled(ctx, level)
}

func (h hush) WithAttrs(attrs []slog.Attr) slog.Handler {
	return hush{h.Handler.WithAttrs(attrs), h.off}
}

func (h hush) WithGroup(name string) slog.Handler { return hush{h.Handler.WithGroup(name), h.off} }
