package main

import (
	"iter"

	"github.com/CarterTsai/tcp-shaker/client"
)

// inOrder yields results in the order of their targets, each as soon as all before it are known. It holds back what came too
// early, so it is for a number of targets that fits on a command line. An error is yielded at once.
func inOrder(results iter.Seq2[client.Result, error]) iter.Seq2[client.Result, error] {
	return func(yield func(client.Result, error) bool) {
		early := make(map[uint64]client.Result)
		next := uint64(0)
		for result, err := range results {
			if err != nil {
				yield(client.Result{}, err)
				return
			}
			early[result.Index] = result
			for {
				result, ok := early[next]
				if !ok {
					break
				}
				delete(early, next)
				next++
				if !yield(result, nil) {
					return
				}
			}
		}
	}
}
