package lambent.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;

/** The kinds of handlers: interfaces of AWS's, or plain methods of objects or streams. */
final class Targets {
    private static final byte[] NULL = "null".getBytes(StandardCharsets.US_ASCII);

    private Targets() {}

    /** Every invocation is answered with the fault. */
    static Target fault(FunctionFault fault) {
        return (event, context) -> {
            throw fault;
        };
    }

    static Target stream(RequestStreamHandler handler) {
        return (event, context) -> {
            ByteArrayOutputStream output = new ByteArrayOutputStream(1_024);
            handler.handleRequest(new ByteArrayInputStream(event), output, context);
            return output.toByteArray();
        };
    }

    static Target object(RequestHandler<Object, Object> handler, Mapping.Input input, Mapping.Output output) {
        return (event, context) -> write(output, handler.handleRequest(read(input, event), context));
    }

    /** A method of objects; `input` is null when it takes none, `output` when it returns none. */
    static Target objectMethod(Call call, Mapping.Input input, Mapping.Output output, boolean takesContext) {
        int count = (input == null ? 0 : 1) + (takesContext ? 1 : 0);
        return (event, context) -> {
            Object[] arguments = new Object[count];
            if (input != null) arguments[0] = read(input, event);
            if (takesContext) arguments[count - 1] = context;
            return write(output, call.invoke(arguments));
        };
    }

    /** A method of streams; what it returns is ignored. */
    static Target streamMethod(Call call, Class<?>[] parameters) {
        return (event, context) -> {
            ByteArrayOutputStream output = null;
            Object[] arguments = new Object[parameters.length];
            for (int index = 0; index < parameters.length; index++) {
                if (parameters[index] == InputStream.class) arguments[index] = new ByteArrayInputStream(event);
                else if (parameters[index] == Context.class) arguments[index] = context;
                else if (parameters[index] == OutputStream.class) {
                    output = new ByteArrayOutputStream(1_024);
                    arguments[index] = output;
                }
            }
            call.invoke(arguments);
            return output == null ? NULL : output.toByteArray();
        };
    }

    private static Object read(Mapping.Input input, byte[] event) {
        try {
            return input.read(event);
        } catch (RuntimeException error) {
            throw new RuntimeException("An error occurred during JSON parsing", FunctionFault.withoutOwnFrames(error));
        }
    }

    private static byte[] write(Mapping.Output output, Object value) {
        if (output == null) return NULL;
        try {
            return output.write(value);
        } catch (RuntimeException | StackOverflowError error) {
            throw new RuntimeException("An error occurred during JSON serialization of response", error);
        }
    }

    /** A method on its object. */
    static final class Call {
        private final Method method;
        private final Object owner;

        Call(Method method, Object owner) {
            this.method = method;
            this.owner = owner;
        }

        Object invoke(Object[] arguments) throws Throwable {
            try {
                return method.invoke(owner, arguments);
            } catch (InvocationTargetException error) {
                throw error.getCause() == null ? error : error.getCause();
            } catch (UncheckedIOException error) {
                throw error;
            }
        }
    }
}
