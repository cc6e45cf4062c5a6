package safety

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-diceware/diceware"
)

// The package's formulas once more, with nothing but hashes and arithmetic on paper.

func plainPair(a, b Keys) Pair {
	prints := []string{}
	for _, k := range []Keys{a, b} {
		sum := sha256.Sum256([]byte("chatnt identity fingerprint\x01" + string(k.Identity[:]) + string(k.Agreement[:])))
		prints = append(prints, string(sum[:]))
	}
	slices.Sort(prints)
	return sha256.Sum256([]byte("chatnt safety pair\x01" + prints[0] + prints[1]))
}

// plainNumber is PBKDF2 of RFC 8018, section 5.2, for a result of one block.
func plainNumber(p Pair) Number {
	u := plainHMAC(p[:], append([]byte("chatnt safety number\x01"), 0, 0, 0, 1))
	sum := u
	for range 8191 {
		u = plainHMAC(p[:], u[:])
		for i := range sum {
			sum[i] ^= u[i]
		}
	}
	return Number(sum[:32])
}

// plainHMAC is HMAC-SHA-512 of RFC 2104 for a key shorter than a block.
func plainHMAC(key, text []byte) [64]byte {
	var inner, outer [128]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	sum := sha512.Sum512(append(inner[:], text...))
	return sha512.Sum512(append(outer[:], sum[:]...))
}

// plainDigits divides by ten on paper, sixty times, from the last digit on.
func plainDigits(n Number) string {
	var last []byte
	for range 60 {
		rest := 0
		for i := range n {
			rest = rest<<8 | int(n[i])
			n[i] = byte(rest / 10)
			rest %= 10
		}
		last = append(last, byte('0'+rest))
	}
	slices.Reverse(last)
	var groups []string
	for group := range slices.Chunk(last, 5) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// plainWords counts throws of four dice up to the number wanted.
func plainWords(n Number) string {
	var bits strings.Builder
	for _, b := range n {
		fmt.Fprintf(&bits, "%08b", b)
	}
	var list []string
	for throw := 1111; throw <= 6666; throw++ {
		if strings.Trim(fmt.Sprint(throw), "123456") == "" {
			list = append(list, diceware.WordListEffSmall().WordAt(throw))
		}
	}
	var said []string
	for i := 0; i < 200; i += 10 {
		index, err := strconv.ParseUint(bits.String()[i:i+10], 2, 16)
		if err != nil {
			panic(err)
		}
		said = append(said, list[index])
	}
	return strings.Join(said, " ")
}
