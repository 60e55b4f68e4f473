package lambent.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/**
 * The function cannot be called: its class is missing, its method does not fit, its constructor failed.
 *
 * <p>One that is fatal ends Init; another is the answer to every invocation.
 */
final class FunctionFault extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final String OWN_PACKAGE = "lambent.runtime.";

    final String text;
    final String errorType;
    final String trace;
    final boolean isFatal;

    FunctionFault(String text, String errorType, String trace, boolean isFatal) {
        super(text, null, false, false);
        this.text = text;
        this.errorType = errorType;
        this.trace = trace;
        this.isFatal = isFatal;
    }

    static FunctionFault of(String text) {
        return new FunctionFault(text, null, null, false);
    }

    static FunctionFault of(Throwable error, boolean isFatal) {
        if (error instanceof FunctionFault) return (FunctionFault) error;
        return new FunctionFault(message(error), error.getClass().getName(), trace(error), isFatal);
    }

    static String message(Throwable error) {
        String text = error.getLocalizedMessage();
        return text == null ? error.getClass().getName() : text;
    }

    /** What the log says of it. */
    String report() {
        if (errorType == null && trace == null) return text + "\n";
        return text + ": " + (errorType == null ? "" : errorType) + "\n" + (trace == null ? "" : trace) + "\n";
    }

    static String trace(Throwable error) {
        withoutOwnFrames(error);
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text));
        return text.toString();
    }

    /** Cut the runtime's own frames off a stack trace, its causes' and its suppressed errors'. Returns the error. */
    static <T extends Throwable> T withoutOwnFrames(T error) {
        cut(error, Collections.newSetFromMap(new IdentityHashMap<>()));
        return error;
    }

    private static void cut(Throwable error, Set<Throwable> seen) {
        if (error == null || !seen.add(error)) return;
        StackTraceElement[] frames = error.getStackTrace();
        for (int index = 0; index < frames.length; index++) {
            if (!frames[index].getClassName().startsWith(OWN_PACKAGE)) continue;
            StackTraceElement[] kept = new StackTraceElement[index];
            System.arraycopy(frames, 0, kept, 0, index);
            error.setStackTrace(kept);
            break;
        }
        cut(error.getCause(), seen);
        for (Throwable each : error.getSuppressed()) cut(each, seen);
    }
}
