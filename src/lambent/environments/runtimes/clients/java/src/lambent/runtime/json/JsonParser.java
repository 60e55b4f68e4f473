package lambent.runtime.json;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** UTF-8 text to maps, lists, texts, numbers, booleans and null. Numbers with a fraction become {@link Decimal}. */
public final class JsonParser {
    private static final int DEPTH_MAX = 1_000;

    private final byte[] text;
    private final int end;
    private int at;
    private int depth;

    private JsonParser(byte[] text, int end) {
        this.text = text;
        this.end = end;
    }

    /** Return the value that the text holds. Throws MappingException. */
    public static Object parse(byte[] text) {
        JsonParser parser = new JsonParser(text, text.length);
        if (parser.skipSpace() == -1) throw new MappingException("No content to map due to end-of-input");
        return parser.value();
    }

    private Object value() {
        int first = skipSpace();
        switch (first) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                at++;
                return string();
            case 't':
                return literal("true", Boolean.TRUE);
            case 'f':
                return literal("false", Boolean.FALSE);
            case 'n':
                return literal("null", null);
            case 'N':
                return literal("NaN", Double.NaN);
            case 'I':
                return literal("Infinity", Double.POSITIVE_INFINITY);
            default:
                if (first == '-' || (first >= '0' && first <= '9')) return number();
                throw unexpected();
        }
    }

    private Map<String, Object> object() {
        enter();
        Map<String, Object> members = new LinkedHashMap<>();
        if (skipSpace() == '}') {
            leave();
            return members;
        }
        for (;;) {
            if (skipSpace() != '"') throw unexpected();
            at++;
            String name = string();
            if (skipSpace() != ':') throw unexpected();
            at++;
            members.put(name, value());
            int next = skipSpace();
            if (next == '}') {
                leave();
                return members;
            }
            if (next != ',') throw unexpected();
            at++;
        }
    }

    private List<Object> array() {
        enter();
        List<Object> elements = new ArrayList<>();
        if (skipSpace() == ']') {
            leave();
            return elements;
        }
        for (;;) {
            elements.add(value());
            int next = skipSpace();
            if (next == ']') {
                leave();
                return elements;
            }
            if (next != ',') throw unexpected();
            at++;
        }
    }

    private void enter() {
        at++;
        if (++depth > DEPTH_MAX) {
            throw new MappingException("Document nesting depth (" + depth + ") exceeds the maximum allowed ("
                    + DEPTH_MAX + ")");
        }
    }

    private void leave() {
        at++;
        depth--;
    }

    private String string() {
        int start = at;
        int all = 0;
        while (at < end) {
            byte each = text[at];
            if (each == '"') {
                String found = all < 0
                        ? new String(text, start, at - start, StandardCharsets.UTF_8)
                        : new String(text, start, at - start, StandardCharsets.ISO_8859_1);
                at++;
                return found;
            }
            if (each == '\\') return escaped(start);
            // A byte beyond ASCII is negative.
            all |= each;
            at++;
        }
        throw new MappingException("Unexpected end-of-input in VALUE_STRING");
    }

    private String escaped(int start) {
        StringBuilder builder = new StringBuilder(Math.max(32, (at - start) * 2));
        int from = start;
        while (at < end) {
            byte each = text[at];
            if (each == '"') {
                builder.append(new String(text, from, at - from, StandardCharsets.UTF_8));
                at++;
                return builder.toString();
            }
            if (each == '\\') {
                builder.append(new String(text, from, at - from, StandardCharsets.UTF_8));
                at++;
                builder.append(escape());
                from = at;
            } else {
                at++;
            }
        }
        throw new MappingException("Unexpected end-of-input in VALUE_STRING");
    }

    private char escape() {
        if (at >= end) throw new MappingException("Unexpected end-of-input in VALUE_STRING");
        byte each = text[at++];
        switch (each) {
            case 'n':
                return '\n';
            case 't':
                return '\t';
            case 'r':
                return '\r';
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'u':
                return hexadecimal();
            default:
                return (char) (each & 0xFF);
        }
    }

    private char hexadecimal() {
        if (end - at < 4) throw new MappingException("Unexpected end-of-input in VALUE_STRING");
        int value = 0;
        for (int index = 0; index < 4; index++) {
            int digit = Character.digit(text[at++], 16);
            if (digit < 0) throw unexpected();
            value = value << 4 | digit;
        }
        return (char) value;
    }

    private Object number() {
        int start = at;
        boolean isWhole = true;
        boolean isSigned = false;
        if (text[at] == '-') {
            at++;
            if (at < end && text[at] == 'I') return literal("Infinity", Double.NEGATIVE_INFINITY);
        }
        while (at < end) {
            byte each = text[at];
            if (each == '.' || each == 'e' || each == 'E') isWhole = false;
            else if (each == '+' || each == '-') isSigned = true;
            else if (each < '0' || each > '9') break;
            at++;
        }
        if (isWhole && at - start < 10 && text[start] >= '0' && !isSigned) return small(start);
        String digits = new String(text, start, at - start, StandardCharsets.ISO_8859_1);
        try {
            if (!isWhole) return new Decimal(digits);
            if (digits.length() < 10) return Integer.valueOf(digits);
            if (digits.length() < 19) return smallest(Long.parseLong(digits));
            BigInteger big = new BigInteger(digits);
            return big.bitLength() < 64 ? (Object) smallest(big.longValue()) : big;
        } catch (NumberFormatException error) {
            throw new MappingException("Invalid numeric value: " + digits, error);
        }
    }

    /** The digits from `start` on, few enough for an int and nothing but digits. */
    private Integer small(int start) {
        int value = 0;
        for (int index = start; index < at; index++) value = value * 10 + (text[index] - '0');
        return value;
    }

    private static Number smallest(long value) {
        if (value == (int) value) return (int) value;
        return value;
    }

    private Object literal(String word, Object value) {
        int length = word.length();
        if (end - at < length) throw unexpected();
        for (int index = 0; index < length; index++) {
            if (text[at + index] != word.charAt(index)) throw unexpected();
        }
        at += length;
        return value;
    }

    private int skipSpace() {
        while (at < end) {
            byte each = text[at];
            if (each != ' ' && each != '\n' && each != '\r' && each != '\t') return each & 0xFF;
            at++;
        }
        return -1;
    }

    private MappingException unexpected() {
        if (at >= end) return new MappingException("Unexpected end-of-input");
        int each = text[at] & 0xFF;
        String shown = each >= 32 && each < 127 ? "'" + (char) each + "' (code " + each + ")" : "(code " + each + ")";
        return new MappingException("Unexpected character (" + shown + "): at byte " + at);
    }
}
