package main

import (
	"iter"
	"maps"
	"slices"

	"github.com/CarterTsai/tcp-shaker/client"
)

// inOrder yields results in the order of their targets, each as soon as all before it are known. It holds back what came too
// early, so it is for a number of targets that fits on a command line. Before an error it yields what it has held back, in
// order, so that no result is lost.
func inOrder(results iter.Seq2[client.Result, error]) iter.Seq2[client.Result, error] {
	return func(yield func(client.Result, error) bool) {
		early := make(map[uint64]client.Result)
		next := uint64(0)
		for result, err := range results {
			if err != nil {
				for _, index := range slices.Sorted(maps.Keys(early)) {
					if !yield(early[index], nil) {
						return
					}
				}
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
