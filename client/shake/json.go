package main

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/CarterTsai/tcp-shaker/client"
)

// jsonFormat is one tcpshaker.v1.CheckResult a line, in protobuf's JSON: numbers of 64 bits and durations are strings.
// Fields have their names from the .proto file, and those without presence stand there also when they are zero, so that
// every line has index, verdict and the counts.
type jsonFormat struct{}

var toJSON = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

func (jsonFormat) header() string { return "" }

func (jsonFormat) append(dst []byte, r client.Result) ([]byte, error) {
	return appendJSON(dst, r.Proto())
}

// appendJSON appends m as one line. protojson adds random blanks so that nobody relies on its bytes.
// Without them the same message is the same line.
func appendJSON(dst []byte, m proto.Message) ([]byte, error) {
	line, err := toJSON.Marshal(m)
	if err != nil {
		return dst, err
	}
	buf := bytes.NewBuffer(dst)
	if err := json.Compact(buf, line); err != nil {
		return dst, err
	}
	return append(buf.Bytes(), '\n'), nil
}
