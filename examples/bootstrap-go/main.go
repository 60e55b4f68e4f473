// Greets whoever the event names. Built to an executable named bootstrap.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Name string `json:"name"`
}

type answer struct {
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
	Handler   string `json:"handler"`
}

func greet(ctx context.Context, in event) (*answer, error) {
	if in.Name == "" {
		return nil, errors.New("nobody to greet")
	}
	lc, _ := lambdacontext.FromContext(ctx)
	fmt.Println("greeting", in.Name)
	return &answer{"Hello, " + in.Name + "!", lc.AwsRequestID, os.Getenv("_HANDLER")}, nil
}

func main() {
	lambda.Start(greet)
}
