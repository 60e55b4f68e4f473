package lambent.runtime;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * The Runtime API (2018-06-01) over one raw keep-alive connection: an answer and the question for the next invocation
 * leave in one write. Source: AWS Lambda developer guide, "Using the Lambda runtime API".
 */
final class RuntimeApi implements Closeable {
    private static final String PREFIX = "/2018-06-01/runtime/";
    // Larger bodies are written by themselves instead of being copied behind their head.
    private static final int JOINED_BYTES_MAX = 65_536;

    private final String host;
    private final int port;
    private final String common;
    private final byte[] next;
    private final byte[] received = new byte[16_384];
    private int at;
    private int end;
    private Socket socket;
    private InputStream input;
    private OutputStream output;

    RuntimeApi(String address) {
        int colon = address.lastIndexOf(':');
        host = colon < 0 ? address : address.substring(0, colon);
        port = colon < 0 ? 80 : Integer.parseInt(address.substring(colon + 1));
        common = "Host: " + address + "\r\nUser-Agent: lambent-java/" + System.getProperty("java.version") + "\r\n";
        next = ascii("GET " + PREFIX + "invocation/next HTTP/1.1\r\n" + common + "\r\n");
    }

    /** Ask for the next invocation and wait for it. */
    Invocation next() throws IOException {
        connect();
        output.write(next);
        return invocation();
    }

    /** Send a result and wait for the next invocation. */
    Invocation respondAndNext(String requestId, byte[] body) throws IOException {
        String type = "Content-Type: application/json\r\n";
        return sendAndNext(head("invocation/" + requestId + "/response", type, body), body);
    }

    /** Send an error payload and wait for the next invocation. */
    Invocation failAndNext(String requestId, byte[] body, String errorType) throws IOException {
        return sendAndNext(head("invocation/" + requestId + "/error", errorHeaders(errorType), body), body);
    }

    /** Send an error of the current invocation, for a process that ends afterwards. */
    void fail(String requestId, byte[] body, String errorType) throws IOException {
        sendLast(head("invocation/" + requestId + "/error", errorHeaders(errorType), body), body);
    }

    /** Report that the function could not be loaded. */
    void failInit(byte[] body, String errorType) throws IOException {
        sendLast(head("init/error", errorHeaders(errorType), body), body);
    }

    @Override
    public void close() throws IOException {
        if (socket != null) socket.close();
        socket = null;
    }

    private Invocation sendAndNext(byte[] head, byte[] body) throws IOException {
        connect();
        if (body.length <= JOINED_BYTES_MAX) {
            byte[] all = new byte[head.length + body.length + next.length];
            System.arraycopy(head, 0, all, 0, head.length);
            System.arraycopy(body, 0, all, head.length, body.length);
            System.arraycopy(next, 0, all, head.length + body.length, next.length);
            output.write(all);
        } else {
            output.write(head);
            output.write(body);
            output.write(next);
        }
        answer();
        // A connection that ends with its answer takes the question behind it along.
        return socket == null ? next() : invocation();
    }

    private void sendLast(byte[] head, byte[] body) throws IOException {
        connect();
        output.write(head);
        output.write(body);
        answer();
    }

    private void connect() throws IOException {
        if (socket != null) return;
        socket = new Socket();
        socket.setTcpNoDelay(true);
        socket.connect(new InetSocketAddress(host, port));
        input = socket.getInputStream();
        output = socket.getOutputStream();
        at = end = 0;
    }

    private byte[] head(String path, String headers, byte[] body) {
        return ascii("POST " + PREFIX + path + " HTTP/1.1\r\n" + headers + common + "Content-Length: " + body.length
                + "\r\n\r\n");
    }

    private static String errorHeaders(String errorType) {
        return "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + errorType + "\r\n";
    }

    private Invocation invocation() throws IOException {
        Invocation invocation = answer();
        if (invocation.status != 200) throw new IOException("GET next was answered with status " + invocation.status);
        return invocation;
    }

    private Invocation answer() throws IOException {
        Invocation answer = new Invocation();
        String line = line();
        answer.status = Integer.parseInt(line.substring(9, 12));
        int length = 0;
        boolean isChunked = false;
        boolean isClosing = false;
        for (line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            String value = line.substring(colon + 1).trim();
            if (name.equals("content-length")) length = Integer.parseInt(value);
            else if (name.equals("transfer-encoding")) isChunked = value.equalsIgnoreCase("chunked");
            else if (name.equals("connection")) isClosing = value.equalsIgnoreCase("close");
            else answer.take(name, value);
        }
        answer.body = isChunked ? chunks() : bytes(length);
        if (isClosing) close();
        return answer;
    }

    private byte[] chunks() throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (;;) {
            String size = line();
            int semicolon = size.indexOf(';');
            int length = Integer.parseInt(semicolon < 0 ? size : size.substring(0, semicolon), 16);
            if (length == 0) break;
            all.write(bytes(length));
            line();
        }
        while (!line().isEmpty()) continue;
        return all.toByteArray();
    }

    private String line() throws IOException {
        StringBuilder earlier = null;
        for (;;) {
            for (int index = at; index < end; index++) {
                if (received[index] != '\n') continue;
                int last = index > at && received[index - 1] == '\r' ? index - 1 : index;
                String piece = new String(received, at, last - at, StandardCharsets.ISO_8859_1);
                at = index + 1;
                if (earlier == null) return piece;
                String whole = earlier.append(piece).toString();
                return whole.endsWith("\r") ? whole.substring(0, whole.length() - 1) : whole;
            }
            if (earlier == null) earlier = new StringBuilder();
            earlier.append(new String(received, at, end - at, StandardCharsets.ISO_8859_1));
            fill();
        }
    }

    private byte[] bytes(int length) throws IOException {
        byte[] all = new byte[length];
        int have = Math.min(length, end - at);
        System.arraycopy(received, at, all, 0, have);
        at += have;
        while (have < length) {
            int count = input.read(all, have, length - have);
            if (count < 0) throw new EOFException("The Runtime API closed the connection");
            have += count;
        }
        return all;
    }

    private void fill() throws IOException {
        at = 0;
        end = 0;
        int count = input.read(received, 0, received.length);
        if (count < 0) throw new EOFException("The Runtime API closed the connection");
        end = count;
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
