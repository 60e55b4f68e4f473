package lambent.runtime;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import lambent.runtime.json.JsonParser;

/**
 * Lambent's runtime for Java. Three ways to start:
 *
 * <p>"wait": exercise the client unless there is code already, say "ready" on descriptor 3, wait there for a line
 * {"variables": {…}}, be the function; "exercise": only that, for an archive of the classes it loads; nothing: the
 * variables are the process's own, and it is the function at once.
 */
public final class Main {
    private static final int CONTROL_DESCRIPTOR = 3;
    private static final String TASK_ROOT = "/var/task";

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String way = arguments.length == 0 ? "" : arguments[0];
        if (way.equals("exercise")) {
            Exercise.run();
            System.exit(0);
        }
        if (way.equals("wait")) {
            FileDescriptor control = descriptor(CONTROL_DESCRIPTOR);
            if (!isCodeHere()) Exercise.run();
            OutputStream output = new FileOutputStream(control);
            output.write("ready\n".getBytes(StandardCharsets.US_ASCII));
            InputStream input = new FileInputStream(control);
            Map<String, String> variables = receive(input);
            // The other end went away: nobody will ever need this process.
            if (variables == null) System.exit(0);
            input.close();
            Variables.replace(variables);
        }
        FunctionProcess.run(System.getenv());
    }

    /** Whether this process replaces one that has ended: its function waits, with a small share of the processors. */
    private static boolean isCodeHere() {
        String[] names = new File(TASK_ROOT).list();
        return names != null && names.length > 0;
    }

    private static FileDescriptor descriptor(int number) throws ReflectiveOperationException {
        // java.io must be open to this class: a socket cannot be opened by its name in /proc.
        Constructor<FileDescriptor> constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
        constructor.setAccessible(true);
        return constructor.newInstance(number);
    }

    private static Map<String, String> receive(InputStream input) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        byte[] piece = new byte[16_384];
        for (;;) {
            int count = input.read(piece);
            if (count < 0) return null;
            line.write(piece, 0, count);
            if (piece[count - 1] == '\n') break;
        }
        Map<?, ?> message = (Map<?, ?>) JsonParser.parse(line.toByteArray());
        Map<String, String> variables = new LinkedHashMap<>();
        for (Map.Entry<?, ?> each : ((Map<?, ?>) message.get("variables")).entrySet()) {
            variables.put((String) each.getKey(), (String) each.getValue());
        }
        return variables;
    }
}
