package ratchet

import "errors"

// What [Session.Open] says of a frame that it does not open.
var (
	// ErrUnknown: no key of the session opens the frame's header. Others' frames look like this, and
	// so do those that damage on the way, or a state of many chains ago, put out of reach.
	ErrUnknown = errors.New("the frame belongs to no chain of this session")

	// ErrDuplicate: this very frame was opened before.
	ErrDuplicate = errors.New("the frame was opened before")

	// ErrSpent: the frame's number was used so long ago that nothing tells any more by which
	// frame, or its key was let go, see [MaxSkip] and [SkippedLife]. Such a frame must not be
	// confirmed, for it may say what has never been read: that of a peer who works with an
	// older copy of its state. Nor must it raise an alarm: hosts bring old frames again, in good
	// faith or bad.
	ErrSpent = errors.New("the frame's number was used, by this frame or another")

	// ErrRolledBack: one side works with an older copy of its state. The frame's header is the
	// peer's own work, and it uses the number of another frame that was opened, continues a
	// chain that the peer had ended, begins a chain a second time with another ratchet key, or
	// answers a chain that this side does not remember to have begun. Nobody else can bring this
	// about, by whatever replay or change of frames. Only a fresh handshake helps.
	ErrRolledBack = errors.New("one side of the session works with an older copy of its state")

	// ErrForged: the header opens, but what it says makes no sense, or the rest does not open. A
	// frame changed on the way looks like this.
	ErrForged = errors.New("the frame does not fit its session")

	// ErrTooFar: the frame skips more than [MaxSkip] messages.
	ErrTooFar = errors.New("the frame is too far ahead of the session")
)
