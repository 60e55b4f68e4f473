package lambent.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.IOError;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.security.Security;
import java.util.Map;

/** Loads the handler and answers invocations for ever, with the conventions of AWS's runtime for Java. */
final class FunctionProcess {
    private static final String TRACE_PROPERTY = "com.amazonaws.xray.traceHeader";
    private static final String TRACE_VARIABLE = "_X_AMZN_TRACE_ID";
    private static final String DNS_PROPERTY = "networkaddress.cache.negative.ttl";
    private static final String DNS_VARIABLE = "AWS_LAMBDA_JAVA_NETWORKADDRESS_CACHE_NEGATIVE_TTL";
    // As on AWS: a name that is not found is asked for again after a second.
    static final String DNS_SECONDS = "1";
    private static final String USER_ERROR = "Runtime.UserException";
    private static final String CODE_ERROR = "Runtime.BadFunctionCode";

    private final Map<String, String> variables;
    private final RuntimeApi api;
    private final FunctionLogger logger;
    private final boolean hasTraceVariable;
    private Target target;
    private boolean isEnding;

    FunctionProcess(Map<String, String> variables, RuntimeApi api, FunctionLogger logger) {
        this.variables = variables;
        this.api = api;
        this.logger = logger;
        // Since Java 17 the trace is a system property alone. Source: developer guide, "Defined runtime environment
        // variables".
        String name = variables.getOrDefault("AWS_EXECUTION_ENV", "");
        hasTraceVariable = name.startsWith("AWS_Lambda_java8") || name.startsWith("AWS_Lambda_java11");
    }

    /** Be the function's process. Returns only when the process shall end. */
    static void run(Map<String, String> variables) throws Exception {
        PrintStream output = stream(FileDescriptor.out);
        System.setOut(output);
        System.setErr(stream(FileDescriptor.err));
        rememberFailedNames(variables.getOrDefault(DNS_VARIABLE, DNS_SECONDS));
        FunctionLogger logger = new FunctionLogger(output, variables);
        useLogger(logger);
        RuntimeApi api = new RuntimeApi(variables.get("AWS_LAMBDA_RUNTIME_API"));
        FunctionProcess process = new FunctionProcess(variables, api, logger);
        String taskRoot = variables.getOrDefault("LAMBDA_TASK_ROOT", "/var/task");
        String layerRoot = variables.getOrDefault("LAMBENT_OPT_DIRECTORY", "/opt");
        ClassLoader loader = new FunctionClassLoader(taskRoot, layerRoot, ClassLoader.getSystemClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        if (process.load(loader)) process.serve(api.next());
        // Threads that the function left must not keep a process whose work is over.
        System.exit(1);
    }

    private boolean load(ClassLoader loader) throws IOException {
        try {
            target = new HandlerLoader(loader).load(variables.getOrDefault("_HANDLER", ""));
            return true;
        } catch (FunctionFault fault) {
            logger.report(fault);
            api.failInit(ErrorPayload.of(fault), CODE_ERROR);
            return false;
        }
    }

    /** For the exercise: answer with this instead of a function. */
    void use(Target exercised) {
        target = exercised;
    }

    void serve(Invocation first) throws IOException {
        Invocation invocation = first;
        while (!isEnding) invocation = answer(invocation);
    }

    /** Run one invocation, send what came of it, and return the next one; null when the process shall end. */
    Invocation answer(Invocation invocation) throws IOException {
        setTrace(invocation.traceId);
        logger.begin(invocation);
        byte[] result;
        try {
            FunctionContext context = new FunctionContext(invocation, variables, logger);
            if (LambdaRuntimeInternal.getUseLog4jAppender()) tellLog4j(invocation.requestId);
            result = target.call(invocation.body, context);
        } catch (Throwable error) {
            return fail(invocation, error);
        }
        // What the function's code left set must not interrupt the runtime.
        Thread.interrupted();
        return api.respondAndNext(invocation.requestId, result);
    }

    private Invocation fail(Invocation invocation, Throwable error) throws IOException {
        Thread.interrupted();
        FunctionFault.withoutOwnFrames(error);
        FunctionFault fault = FunctionFault.of(error, false);
        logger.report(fault);
        byte[] payload = ErrorPayload.of(error);
        String type = error instanceof FunctionFault ? CODE_ERROR : USER_ERROR;
        // After these nothing in the process is to be relied on.
        if (!fault.isFatal && !(error instanceof VirtualMachineError) && !(error instanceof IOError)) {
            return api.failAndNext(invocation.requestId, payload, type);
        }
        isEnding = true;
        api.fail(invocation.requestId, payload, type);
        return null;
    }

    private void setTrace(String traceId) {
        if (traceId == null) System.clearProperty(TRACE_PROPERTY);
        else System.setProperty(TRACE_PROPERTY, traceId);
        if (hasTraceVariable) Variables.set(TRACE_VARIABLE, traceId);
    }

    private static void tellLog4j(String requestId) {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        for (String name : new String[] {"org.apache.log4j.MDC", "org.apache.logging.log4j.ThreadContext"}) {
            try {
                boolean isOld = name.endsWith("MDC");
                Method put = Class.forName(name, true, loader)
                        .getMethod("put", String.class, isOld ? Object.class : String.class);
                put.invoke(null, "AWSRequestId", requestId);
            } catch (ReflectiveOperationException | LinkageError error) {
                // The function uses the other one.
            }
        }
    }

    /** Set for how many seconds a name that was not found is not asked for again. */
    static void rememberFailedNames(String seconds) {
        // Changing it costs milliseconds; a process that has waited has done so before.
        if (!seconds.equals(Security.getProperty(DNS_PROPERTY))) Security.setProperty(DNS_PROPERTY, seconds);
    }

    static void useLogger(LambdaLogger logger) throws ReflectiveOperationException {
        Field field = LambdaRuntime.class.getDeclaredField("logger");
        field.setAccessible(true);
        field.set(null, logger);
    }

    // Nothing is kept back: what was printed before a process dies is in the log.
    private static PrintStream stream(FileDescriptor descriptor) throws IOException {
        return new PrintStream(new FileOutputStream(descriptor), false, "UTF-8");
    }
}
