package client

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	tcpshakerv1 "github.com/CarterTsai/tcp-shaker/gen/tcpshaker/v1"
)

// Check probes one target and returns what became of it. The error, always an *Error, speaks of
// the call alone: a target that cannot be reached, or is malformed, is a Result.
//
// Give ctx a deadline: the service keeps a little of it back and answers with what is known by
// then. Without one, the answer comes after a name lookup and as many timeouts as there are
// attempts. With a deadline below 1.32 s, or 1.2 s for each attempt and 120 ms, a silent target is
// [Inconclusive], unless [WithTimeout] sets less.
func (c *Client) Check(ctx context.Context, target string, opts ...CheckOption) (Result, error) {
	request := &tcpshakerv1.CheckRequest{Targets: []string{wireTarget(target)}, Options: checkOptions(opts)}
	var header metadata.MD
	response, err := c.rpc.Check(ctx, request, grpc.Header(&header))
	if err != nil {
		return Result{}, newError("Check", header, err)
	}
	result, err := onlyResult(target, response.GetResults())
	if err != nil {
		return Result{}, newError("Check", header, err)
	}
	return result, nil
}

// onlyResult reads the answer to a request of one target.
func onlyResult(target string, results []*tcpshakerv1.CheckResult) (Result, error) {
	if len(results) != 1 {
		return Result{}, broken("%d results for one target", len(results))
	}
	if index := results[0].GetIndex(); index != 0 {
		return Result{}, broken("result with index %d for one target", index)
	}
	return newResult(target, results[0])
}

// CheckAll probes targets and returns one Result for each, in their order. On failure it returns no
// results and an *Error, whose Unanswered has every target that the service did not answer. For no
// targets it returns no results and makes no call.
//
// There may be any number. They go over one [Client.Stream], because that alone has no limit on
// targets, on the size of a request or on that of an answer; so CheckAll goes on after a service
// that restarts, as Stream does. As for ctx, see [Client.Check]; but a default timeout is not
// fitted into its deadline, see [WithTimeout].
func (c *Client) CheckAll(ctx context.Context, targets []string, opts ...CheckOption) ([]Result, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	// A copy, since the stream may still be reading it for a moment after an error has ended the call.
	source := slices.Values(slices.Clone(targets))
	results := make([]Result, len(targets))
	answered := make([]bool, len(targets))
	for result, err := range c.Stream(ctx, source, opts...) {
		if err != nil {
			if failed, ok := errors.AsType[*Error](err); ok {
				failed.Unanswered = withoutResult(targets, answered)
			}
			return nil, err
		}
		results[result.Index], answered[result.Index] = result, true // Stream gives each index once
	}
	return results, nil
}

// withoutResult returns the targets that are not answered, whether they were sent or not.
func withoutResult(targets []string, answered []bool) []UnansweredTarget {
	var rest []UnansweredTarget
	for i, target := range targets {
		if !answered[i] {
			rest = append(rest, UnansweredTarget{uint64(i), target})
		}
	}
	return rest
}
