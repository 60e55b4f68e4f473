package lambent.runtime.json;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** JSON text that grows at its end, in UTF-8. */
public final class JsonText {
    private static final byte[] HEXADECIMAL = "0123456789ABCDEF".getBytes(StandardCharsets.US_ASCII);

    private byte[] bytes;
    private int length;

    public JsonText(int capacity) {
        bytes = new byte[capacity];
    }

    public void writeTo(OutputStream output) throws IOException {
        output.write(bytes, 0, length);
    }

    public byte[] toBytes() {
        return Arrays.copyOf(bytes, length);
    }

    int length() {
        return length;
    }

    public void symbol(char ascii) {
        room(1);
        bytes[length++] = (byte) ascii;
    }

    /** Append text that needs no escaping and is ASCII. */
    public void raw(String ascii) {
        int count = ascii.length();
        room(count);
        for (int index = 0; index < count; index++) bytes[length++] = (byte) ascii.charAt(index);
    }

    /** Append a JSON string. */
    public void string(CharSequence text) {
        int count = text.length();
        room(count + 2);
        bytes[length++] = '"';
        int index = 0;
        // Most text is plain ASCII and fits the room made for it.
        for (; index < count; index++) {
            char each = text.charAt(index);
            if (each < 32 || each >= 127 || each == '"' || each == '\\') break;
            bytes[length++] = (byte) each;
        }
        for (; index < count; index++) {
            char each = text.charAt(index);
            room(8);
            if (each < 128) {
                ascii(each);
            } else if (each < 0x800) {
                bytes[length++] = (byte) (0xC0 | each >> 6);
                bytes[length++] = (byte) (0x80 | each & 0x3F);
            } else if (Character.isSurrogate(each)) {
                // AWS's runtime escapes them, pairs and halves alike.
                escape(each);
            } else {
                bytes[length++] = (byte) (0xE0 | each >> 12);
                bytes[length++] = (byte) (0x80 | each >> 6 & 0x3F);
                bytes[length++] = (byte) (0x80 | each & 0x3F);
            }
        }
        symbol('"');
    }

    private void ascii(char each) {
        if (each >= 32 && each != '"' && each != '\\') {
            bytes[length++] = (byte) each;
            return;
        }
        bytes[length++] = '\\';
        switch (each) {
            case '"':
            case '\\':
                bytes[length++] = (byte) each;
                return;
            case '\n':
                bytes[length++] = 'n';
                return;
            case '\t':
                bytes[length++] = 't';
                return;
            case '\r':
                bytes[length++] = 'r';
                return;
            case '\b':
                bytes[length++] = 'b';
                return;
            case '\f':
                bytes[length++] = 'f';
                return;
            default:
                length--;
                escape(each);
        }
    }

    private void escape(char each) {
        bytes[length++] = '\\';
        bytes[length++] = 'u';
        for (int shift = 12; shift >= 0; shift -= 4) bytes[length++] = HEXADECIMAL[each >> shift & 15];
    }

    private void room(int count) {
        if (bytes.length - length < count) {
            bytes = Arrays.copyOf(bytes, Math.max(length + count, bytes.length + (bytes.length >> 1) + 16));
        }
    }
}
