package lambent.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Map;
import lambent.runtime.json.JsonText;

/** The logger of the context: one record a call, as text "[LEVEL] message" or as a JSON line. */
final class FunctionLogger implements LambdaLogger {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

    private final OutputStream output;
    private final boolean isJson;
    private final LogLevel lowest;
    private volatile String requestId;
    private volatile String tenantId;

    FunctionLogger(OutputStream output, Map<String, String> variables) {
        this.output = output;
        isJson = "JSON".equalsIgnoreCase(variables.get("AWS_LAMBDA_LOG_FORMAT"));
        lowest = level(variables.get("AWS_LAMBDA_LOG_LEVEL"));
    }

    void begin(Invocation invocation) {
        requestId = invocation.requestId;
        tenantId = invocation.tenantId;
    }

    /** Report an error of the function. */
    void report(FunctionFault fault) {
        log(fault.report(), isJson ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (!isEnabled(level)) return;
        if (isJson) write(line(message, level));
        else if (level == LogLevel.UNDEFINED) write(bytes(String.valueOf(message)));
        else write(bytes("[" + level + "] " + String.valueOf(message).replace('\n', '\r')));
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (isEnabled(level)) write(message == null ? bytes("null") : message);
    }

    private boolean isEnabled(LogLevel level) {
        return level == LogLevel.UNDEFINED || level.ordinal() >= lowest.ordinal();
    }

    private byte[] line(String message, LogLevel level) {
        JsonText text = new JsonText(256);
        text.symbol('{');
        member(text, "timestamp", TIME.format(Instant.now()));
        member(text, "message", message);
        member(text, "level", level.name());
        member(text, "AWSRequestId", requestId);
        member(text, "tenantId", tenantId);
        text.symbol('}');
        return text.toBytes();
    }

    private static void member(JsonText text, String name, String value) {
        if (value == null) return;
        if (!name.equals("timestamp")) text.symbol(',');
        text.string(name);
        text.symbol(':');
        text.string(value);
    }

    private static byte[] bytes(String message) {
        return message.getBytes(StandardCharsets.UTF_8);
    }

    // A call is a record: it ends its line.
    private void write(byte[] message) {
        boolean isEnded = message.length > 0 && message[message.length - 1] == '\n';
        byte[] line = message;
        if (!isEnded) {
            line = java.util.Arrays.copyOf(message, message.length + 1);
            line[message.length] = '\n';
        }
        try {
            synchronized (output) {
                output.write(line);
                output.flush();
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static LogLevel level(String name) {
        try {
            return name == null ? LogLevel.UNDEFINED : LogLevel.valueOf(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException error) {
            return LogLevel.UNDEFINED;
        }
    }
}
