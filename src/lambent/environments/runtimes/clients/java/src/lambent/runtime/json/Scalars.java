package lambent.runtime.json;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Currency;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** JSON texts, numbers and booleans as Java's simple types, with the coercions that AWS's runtime allows. */
final class Scalars {
    private static final Map<Class<?>, Conversion> CONVERSIONS = conversions();

    private Scalars() {}

    /** From a value of the tree (text, number, boolean; never null, map or list) to an object. */
    interface Conversion {
        Object convert(Object tree) throws Exception;
    }

    static Conversion find(Class<?> type) {
        return CONVERSIONS.get(type);
    }

    /** What a type holds when nothing is said: zero for primitives. */
    static Object nothing(Class<?> type) {
        if (!type.isPrimitive()) return null;
        if (type == int.class) return 0;
        if (type == boolean.class) return false;
        if (type == long.class) return 0L;
        if (type == double.class) return 0.0;
        if (type == float.class) return 0.0f;
        if (type == char.class) return '\0';
        if (type == short.class) return (short) 0;
        return type == byte.class ? (Object) (byte) 0 : null;
    }

    static MappingException unfit(Object tree, String type, String why) {
        String shown = tree instanceof String ? "String \"" + tree + "\"" : tree + "";
        return new MappingException("Cannot deserialize value of type `" + type + "` from " + shown + ": " + why);
    }

    private static Map<Class<?>, Conversion> conversions() {
        Map<Class<?>, Conversion> all = new HashMap<>();
        all.put(String.class, Object::toString);
        all.put(CharSequence.class, Object::toString);
        all.put(StringBuilder.class, tree -> new StringBuilder(tree.toString()));
        numbers(all);
        both(all, boolean.class, Boolean.class, Scalars::flag);
        both(all, char.class, Character.class, Scalars::character);
        all.put(AtomicBoolean.class, tree -> {
            Object flag = flag(tree);
            return flag == null ? null : new AtomicBoolean((Boolean) flag);
        });
        all.put(byte[].class, tree -> bytes(tree));
        all.put(char[].class, tree -> tree.toString().toCharArray());
        all.put(ByteBuffer.class, tree -> ByteBuffer.wrap(bytes(onlyText(tree, "java.nio.ByteBuffer"))));
        texts(all);
        Times.register(all);
        return all;
    }

    private static void numbers(Map<Class<?>, Conversion> all) {
        both(all, int.class, Integer.class, tree -> {
            Long whole = whole(tree, "int", Integer.MIN_VALUE, Integer.MAX_VALUE);
            return whole == null ? null : (Object) whole.intValue();
        });
        both(all, long.class, Long.class, tree -> whole(tree, "long", Long.MIN_VALUE, Long.MAX_VALUE));
        both(all, short.class, Short.class, tree -> {
            Long whole = whole(tree, "short", Short.MIN_VALUE, Short.MAX_VALUE);
            return whole == null ? null : (Object) whole.shortValue();
        });
        both(all, byte.class, Byte.class, tree -> {
            Long whole = whole(tree, "byte", Byte.MIN_VALUE, 255);
            return whole == null ? null : (Object) whole.byteValue();
        });
        both(all, double.class, Double.class, tree -> fraction(tree, "double"));
        both(all, float.class, Float.class, tree -> {
            if (tree instanceof Decimal) return Float.parseFloat(tree.toString());
            Double fraction = fraction(tree, "float");
            return fraction == null ? null : (Object) fraction.floatValue();
        });
        all.put(AtomicInteger.class, tree -> {
            Long whole = whole(tree, "int", Integer.MIN_VALUE, Integer.MAX_VALUE);
            return whole == null ? null : new AtomicInteger(whole.intValue());
        });
        all.put(AtomicLong.class, tree -> {
            Long whole = whole(tree, "long", Long.MIN_VALUE, Long.MAX_VALUE);
            return whole == null ? null : new AtomicLong(whole);
        });
        all.put(BigInteger.class, tree -> {
            if (tree instanceof Decimal) return new BigDecimal(tree.toString()).toBigInteger();
            String digits = digits(tree, "java.math.BigInteger");
            return digits == null ? null : new BigInteger(digits);
        });
        all.put(BigDecimal.class, tree -> {
            String digits = digits(tree, "java.math.BigDecimal");
            return digits == null ? null : new BigDecimal(digits);
        });
        all.put(Number.class, tree -> {
            if (tree instanceof Decimal) return ((Decimal) tree).doubleValue();
            if (tree instanceof Number) return tree;
            String digits = digits(tree, "java.lang.Number");
            if (digits == null) return null;
            if (!digits.matches("-?\\d+")) return Double.valueOf(digits);
            return JsonParser.parse(digits.getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        });
    }

    private static void texts(Map<Class<?>, Conversion> all) {
        all.put(UUID.class, tree -> UUID.fromString(text(tree)));
        all.put(java.net.URI.class, tree -> java.net.URI.create(text(tree)));
        all.put(java.net.URL.class, tree -> new java.net.URL(text(tree)));
        all.put(java.io.File.class, tree -> new java.io.File(text(tree)));
        all.put(java.util.regex.Pattern.class, tree -> java.util.regex.Pattern.compile(text(tree)));
        all.put(java.nio.charset.Charset.class, tree -> java.nio.charset.Charset.forName(text(tree)));
        all.put(java.net.InetAddress.class, tree -> java.net.InetAddress.getByName(text(tree)));
        all.put(Currency.class, tree -> Currency.getInstance(text(tree)));
        all.put(TimeZone.class, tree -> TimeZone.getTimeZone(text(tree)));
        all.put(Locale.class, tree -> {
            String[] parts = text(tree).split("[-_]", 3);
            return new Locale(parts[0], parts.length > 1 ? parts[1] : "", parts.length > 2 ? parts[2] : "");
        });
        all.put(Class.class, tree -> Class.forName(text(tree), true, Thread.currentThread().getContextClassLoader()));
    }

    private static void both(Map<Class<?>, Conversion> all, Class<?> primitive, Class<?> boxed, Conversion conversion) {
        all.put(primitive, conversion);
        all.put(boxed, conversion);
    }

    static String text(Object tree) {
        return tree.toString().trim();
    }

    /** Text where nothing but text will do. */
    static String onlyText(Object tree, String type) {
        if (!(tree instanceof String)) throw unfit(tree, type, "not a String");
        return text(tree);
    }

    /** Whether a value is text without anything in it: it stands for null but where text is wanted. */
    static boolean isBlank(Object tree) {
        return tree instanceof String && ((String) tree).trim().isEmpty();
    }

    /** Whether an array of one null may stand for the type, as it may for its null. */
    static boolean isNullInArray(Class<?> type) {
        return type.isPrimitive() || type == java.util.Date.class || java.util.Calendar.class.isAssignableFrom(type)
                || (type.getName().startsWith("java.lang.") && type != Number.class && !type.isInterface()
                        && type != String.class && type != Class.class);
    }

    // One number stands for an array of one byte; text must be whole base64.
    private static byte[] bytes(Object tree) {
        if (tree instanceof Integer) return new byte[] {whole(tree, "byte", Byte.MIN_VALUE, 255).byteValue()};
        String text = onlyText(tree, "byte[]").replaceAll("\\s+", "");
        if (text.length() % 4 != 0) throw unfit(tree, "byte[]", "Unexpected end of base64-encoded String");
        return Base64.getDecoder().decode(text);
    }

    /** Whether text stands for null where a number or boolean is wanted. */
    private static boolean isNothing(String text) {
        return text.isEmpty() || text.equals("null");
    }

    private static String digits(Object tree, String type) {
        if (tree instanceof Boolean) throw unfit(tree, type, "Boolean value");
        String text = text(tree);
        return isNothing(text) ? null : text;
    }

    private static Long whole(Object tree, String type, long lowest, long highest) {
        if (tree instanceof Integer) return inRange(((Integer) tree).longValue(), type, lowest, highest);
        if (tree instanceof Long) return inRange((Long) tree, type, lowest, highest);
        if (tree instanceof Decimal || tree instanceof Double) {
            double value = ((Number) tree).doubleValue();
            if (!(value >= lowest && value <= highest)) throw outOfRange(tree, type, lowest, highest);
            return (long) value;
        }
        if (tree instanceof BigInteger) throw outOfRange(tree, type, lowest, highest);
        String digits = digits(tree, type);
        if (digits == null) return null;
        try {
            return inRange(Long.parseLong(digits), type, lowest, highest);
        } catch (NumberFormatException error) {
            throw unfit(tree, type, "not a valid `" + type + "` value");
        }
    }

    private static Long inRange(long value, String type, long lowest, long highest) {
        if (value < lowest || value > highest) throw outOfRange(value, type, lowest, highest);
        return value;
    }

    private static MappingException outOfRange(Object value, String type, long lowest, long highest) {
        return new MappingException(
                "Numeric value (" + value + ") out of range of " + type + " (" + lowest + " - " + highest + ")");
    }

    private static Double fraction(Object tree, String type) {
        if (tree instanceof Number) return ((Number) tree).doubleValue();
        String digits = digits(tree, type);
        if (digits == null) return null;
        switch (digits) {
            case "INF":
                return Double.POSITIVE_INFINITY;
            case "-INF":
                return Double.NEGATIVE_INFINITY;
            default:
                try {
                    return Double.valueOf(digits);
                } catch (NumberFormatException error) {
                    throw unfit(tree, type, "not a valid `" + type + "` value (as String to convert)");
                }
        }
    }

    private static Object flag(Object tree) {
        if (tree instanceof Boolean) return tree;
        if (tree instanceof Integer || tree instanceof Long) return ((Number) tree).longValue() != 0;
        if (tree instanceof BigInteger) return true;
        String text = text(tree);
        switch (text) {
            case "true":
            case "True":
            case "TRUE":
                return true;
            case "false":
            case "False":
            case "FALSE":
                return false;
            default:
                if (isNothing(text)) return null;
                throw unfit(tree, "boolean", "only \"true\" or \"false\" recognized");
        }
    }

    private static Object character(Object tree) {
        if (tree instanceof Integer) return (char) (int) (Integer) tree;
        String text = tree.toString();
        if (text.length() == 1) return text.charAt(0);
        if (text.isEmpty()) return null;
        throw unfit(tree, "java.lang.Character", "Expected either Integer value code or 1-character String");
    }
}
