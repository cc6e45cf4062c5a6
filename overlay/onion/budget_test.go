//go:build !amd64 || purego

package onion

// allocationBudgets are above what Go 1.26 was measured to need on 386 and, with
// the tag purego, on amd64.
func allocationBudgets() map[string]allocations {
	return map[string]allocations{
		"packet forwarded": {12, 1536}, // measured: 4, 608 and 9, 1216
		"packet made":      {64, 8192}, // 33, 3264 and 50, 5952
		"reply block made": {40, 4608}, // 31, 1376 and 32, 3563
	}
}
