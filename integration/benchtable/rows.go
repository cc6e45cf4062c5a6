package main

// row is one line of the table.
type row struct {
	benchmark string
	what      string // and its floor
	promised  string
}

func rows() []row {
	return []row{
		{
			"BenchmarkUnwrapOverFloor",
			"a layer taken off a packet; floor: one X25519 and the symmetric work over the same bytes", "1.15",
		},
		{
			"BenchmarkWrapOverFloor",
			"a packet of four layers made; floor: eight X25519 and the symmetric work", "1.3",
		},
		{
			"BenchmarkRelayCPU",
			"processor time of a whole relay process for a packet, less the unwrap; floor: the same frame forwarded in plain", "1.6",
		},
		{
			"BenchmarkRoundTrip",
			"4 KiB through three relays and the answer back through three others; floor: the same eight links in plain and the cryptography", "1.5",
		},
	}
}
