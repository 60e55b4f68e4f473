package com.amazonaws.services.lambda.runtime;

/** A handler of objects: the runtime maps JSON to I and O to JSON. */
public interface RequestHandler<I, O> {
    O handleRequest(I input, Context context);
}
