package lambent.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the client against a server of its own, so that a waiting process's first invocation meets loaded classes. */
public final class Exercise {
    private static final int CALLS = 60;
    private static final String BODY = "{\"name\": \"value \\u00e9\", \"count\": 3, \"share\": 2.5, \"ratio\": 0.5, "
            + "\"flag\": true, \"size\": 7, \"total\": 8, \"list\": [{\"name\": \"x\"}], \"map\": {\"a\": null}}";
    private static final byte[] ACCEPTED =
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".getBytes(StandardCharsets.US_ASCII);

    private Exercise() {}

    static void run() throws Exception {
        FunctionProcess.rememberFailedNames(FunctionProcess.DNS_SECONDS);
        Variables.replace(new LinkedHashMap<>(System.getenv()));
        loadLikeAFunction();
        ServerSocket server = new ServerSocket(0, 4, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(() -> serve(server), "exercise");
        thread.setDaemon(true);
        thread.start();
        Map<String, String> variables = new LinkedHashMap<>();
        variables.put("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        RuntimeApi api = new RuntimeApi("127.0.0.1:" + server.getLocalPort());
        FunctionLogger logger = new FunctionLogger(new ByteArrayOutputStream(), variables);
        FunctionProcess.useLogger(logger);
        FunctionProcess process = new FunctionProcess(variables, api, logger);
        String own = Exercise.class.getName();
        HandlerLoader loader = new HandlerLoader(Exercise.class.getClassLoader());
        // Newer versions make code for each shape of a method that is called by reflection.
        String[] handlers = {"$Objects", "$Objects::method", "$Objects::fixed", "$Objects::both", "$Maps", "$Streams"};
        Invocation invocation = api.next();
        for (String each : handlers) {
            process.use(loader.load(own + each));
            for (int call = 0; call < CALLS; call++) invocation = process.answer(invocation);
        }
        process.use(loader.load(own + "$Failing"));
        process.answer(invocation);
        variables.put("AWS_LAMBDA_LOG_FORMAT", "JSON");
        new FunctionLogger(new ByteArrayOutputStream(), variables).log("exercise", LogLevel.INFO);
        api.close();
        server.close();
        thread.join(1_000);
        System.clearProperty("com.amazonaws.xray.traceHeader");
    }

    /** Load a class from a jar and miss one in a directory, through a loader like a function's. */
    private static void loadLikeAFunction() throws Exception {
        File own = new File(System.getProperty("java.class.path"));
        if (!own.isFile()) return;
        new FunctionClassLoader(own.getParent(), own.getParent(), null).close();
        URL[] places = {new URL("file", null, -1, own.getParent() + "/"), new URL("file", null, -1, own.getPath())};
        try (URLClassLoader loader = new URLClassLoader(places, ClassLoader.getSystemClassLoader().getParent())) {
            Class.forName("lambent.runtime.Exercise$Item", true, loader).getConstructor().newInstance();
        }
    }

    private static void serve(ServerSocket server) {
        byte[] body = BODY.getBytes(StandardCharsets.UTF_8);
        byte[] head = ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                + "Lambda-Runtime-Aws-Request-Id: exercise\r\n"
                + "Lambda-Runtime-Deadline-Ms: 4102444800000\r\nLambda-Runtime-Trace-Id: Root=1-1-1\r\n"
                + "Content-Length: " + body.length + "\r\n\r\n").getBytes(StandardCharsets.US_ASCII);
        byte[] piece = new byte[65_536];
        try (Socket connection = server.accept()) {
            InputStream input = connection.getInputStream();
            for (int count = input.read(piece); count > 0; count = input.read(piece)) {
                ByteArrayOutputStream answer = new ByteArrayOutputStream();
                if (piece[0] == 'P') answer.write(ACCEPTED);
                answer.write(head);
                answer.write(body);
                connection.getOutputStream().write(answer.toByteArray());
            }
        } catch (IOException error) {
            // The exercise is over.
        }
    }

    /** An object as functions take and return it: neither it nor the handlers are final, for functions' are not. */
    public static class Item {
        public Integer size;
        private String name;
        private int count;
        private Double share;
        private double ratio;
        private boolean flag;
        private long total;
        private List<Item> list;
        private Map<String, Object> map;

        public Item() {}

        public String getName() {
            return name;
        }

        public void setName(String name) {
            this.name = name;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int count) {
            this.count = count;
        }

        public Double getShare() {
            return share;
        }

        public void setShare(Double share) {
            this.share = share;
        }

        public double getRatio() {
            return ratio;
        }

        public void setRatio(double ratio) {
            this.ratio = ratio;
        }

        public boolean isFlag() {
            return flag;
        }

        public void setFlag(boolean flag) {
            this.flag = flag;
        }

        public long getTotal() {
            return total;
        }

        public void setTotal(long total) {
            this.total = total;
        }

        public List<Item> getList() {
            return list;
        }

        public void setList(List<Item> list) {
            this.list = list;
        }

        public Map<String, Object> getMap() {
            return map;
        }

        public void setMap(Map<String, Object> map) {
            this.map = map;
        }
    }

    /** Objects in and out. */
    public static class Objects implements RequestHandler<Item, Item> {
        @Override
        public Item handleRequest(Item item, Context context) {
            return item;
        }

        public String method(Item item) {
            return item.getName();
        }

        public static Object fixed(Item item) {
            return item;
        }

        public Object both(Map<String, Object> event, Context context) {
            return event;
        }
    }

    /** Maps in and out. */
    public static class Maps implements RequestHandler<Map<String, Object>, Object> {
        @Override
        public Object handleRequest(Map<String, Object> event, Context context) {
            context.getLogger().log("exercise " + context.getRemainingTimeInMillis());
            return Collections.singletonMap("echoed", event);
        }
    }

    /** Bytes in and out. */
    public static class Streams implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream input, OutputStream output, Context context) throws IOException {
            byte[] piece = new byte[4_096];
            for (int count = input.read(piece); count > 0; count = input.read(piece)) output.write(piece, 0, count);
        }
    }

    /** An error with a cause. */
    public static class Failing implements RequestHandler<Object, Object> {
        @Override
        public Object handleRequest(Object event, Context context) {
            throw new IllegalStateException("exercise", new IOException("cause"));
        }
    }
}
