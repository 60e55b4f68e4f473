package lambent.runtime;

import com.amazonaws.services.lambda.runtime.Context;

/** What an invocation calls: bytes of the event in, bytes of the answer out. */
interface Target {
    byte[] call(byte[] event, Context context) throws Throwable;
}
