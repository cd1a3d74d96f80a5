//go:build !race

package shaker

const raced = false
