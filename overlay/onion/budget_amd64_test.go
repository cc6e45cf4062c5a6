//go:build !purego

package onion

// allocationBudgets are what Go 1.26 was measured to need, and a little more. All
// of it comes from the ciphers of the payload and, where a packet is made, from
// handing bytes to an io.Reader; AES's key schedule is the largest part.
func allocationBudgets() map[string]allocations {
	return map[string]allocations{
		"packet forwarded": {4, 640},   // measured: 3, 560
		"packet made":      {16, 3072}, // 13, 2560
		"reply block made": {4, 640},   // 3, 480
	}
}
