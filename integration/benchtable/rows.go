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
			"BenchmarkMessageOverFloor",
			"a message of a conversation sealed and opened, no new key; floor: the bare AEAD and HMACs over the same bytes", "2",
		},
		{
			"BenchmarkTurnOverX25519/key",
			"the same with new keys, by who began the conversation; floor: one X25519", "10",
		},
		{
			"BenchmarkTurnOverX25519/ciphertext",
			"the same by who answered", "10",
		},
		{
			"BenchmarkHandshakeOverFloor",
			"a first message sealed and opened; floor: its key operations", "2",
		},
		{
			"BenchmarkQueue/1000",
			"a text queued, at 1,000 contacts; floor: a raw commit of the same bytes in the same store", "1.5",
		},
		{
			"BenchmarkOneWay",
			"4 KiB one way through three relays, at once; floor: the same four links in plain and the four unwraps", "1.5",
		},
		{
			"BenchmarkRoundTrip",
			"4 KiB through three relays and the answer back through three others; floor: the same eight links in plain and the cryptography", "1.5",
		},
	}
}
