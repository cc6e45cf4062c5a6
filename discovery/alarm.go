package discovery

import "time"

// alarm is a timer that can be brought forward but not put off: what is asked
// for again and again still happens. The goroutine that made it owns it.
type alarm struct {
	timer *time.Timer
	at    time.Time // zero when it is not set
}

func newAlarm() *alarm {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &alarm{timer: timer}
}

// within has the alarm ring in d at the latest. It reports whether it would
// have rung later, or not at all.
func (a *alarm) within(d time.Duration) bool {
	at := time.Now().Add(d)
	if !a.at.IsZero() && !at.Before(a.at) {
		return false
	}
	a.at = at
	a.timer.Reset(d)
	return true
}

// off has it not ring. To be called also when it has rung.
func (a *alarm) off() {
	a.at = time.Time{}
	a.timer.Stop()
}
