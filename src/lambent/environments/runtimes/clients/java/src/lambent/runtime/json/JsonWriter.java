package lambent.runtime.json;

import java.lang.reflect.Array;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/** Objects to JSON: members that are null are left out, dates are numbers. */
public final class JsonWriter {
    private static final int DEPTH_MAX = 1_000;

    private final Type root;
    private final EventNames names;
    private final Map<Type, Bean> beans = new ConcurrentHashMap<>();

    public JsonWriter(Type root) {
        this.root = root;
        this.names = EventNames.below(Types.raw(root));
    }

    /** Append a value that a handler of this type returned. Throws MappingException. */
    public void write(Object value, JsonText text) {
        if (value == null) {
            text.raw("null");
            return;
        }
        writeAs(value, root, text, 1);
    }

    /**
     * Write a value as the class that a handler declares, whichever subclass it returns, and what the declared maps and
     * lists hold likewise; properties of beans are written as what they are.
     */
    private void writeAs(Object value, Type type, JsonText text, int depth) {
        Class<?> declared = Types.raw(type);
        if (value == null || declared == Object.class || declared.isPrimitive()) {
            write(value, text, depth);
        } else if (value instanceof Map) {
            boolean isMap = Map.class.isAssignableFrom(declared);
            writeMap((Map<?, ?>) value, isMap ? Types.arguments(type, Map.class)[1] : Object.class, text, depth);
        } else if (value instanceof Collection) {
            boolean isAll = Iterable.class.isAssignableFrom(declared);
            Type element = isAll ? Types.arguments(type, Iterable.class)[0] : Object.class;
            writeAll(((Collection<?>) value).iterator(), element, text, depth);
        } else if (value instanceof Object[] && declared.isArray()) {
            writeAll(java.util.Arrays.asList((Object[]) value).iterator(), declared.getComponentType(), text, depth);
        } else if (!writeSimple(value, text, depth)) {
            writeBean(beanOf(type), value, text, depth);
        }
    }

    private void write(Object value, JsonText text, int depth) {
        if (value == null) {
            text.raw("null");
        } else if (!writeSimple(value, text, depth)) {
            writeBean(beanOf(value.getClass()), value, text, depth);
        }
    }

    private boolean writeSimple(Object value, JsonText text, int depth) {
        if (depth > DEPTH_MAX) {
            throw new MappingException(
                    "Document nesting depth (" + depth + ") exceeds the maximum allowed (" + DEPTH_MAX + ")");
        }
        if (value instanceof String) text.string((String) value);
        else if (value instanceof Integer || value instanceof Long) text.raw(value.toString());
        else if (value instanceof Boolean) text.raw(value.toString());
        else if (value instanceof Map) writeMap((Map<?, ?>) value, Object.class, text, depth);
        else if (value instanceof Collection) writeAll(((Collection<?>) value).iterator(), Object.class, text, depth);
        else if (value instanceof Number) return writeNumber((Number) value, text);
        else if (value instanceof Enum) text.string(((Enum<?>) value).name());
        else if (value.getClass().isArray()) writeArray(value, text, depth);
        else if (value instanceof Character) text.string(value.toString());
        else return writeRare(value, text, depth);
        return true;
    }

    private boolean writeNumber(Number value, JsonText text) {
        if (value instanceof Double || value instanceof Float) {
            double number = value.doubleValue();
            if (Double.isNaN(number) || Double.isInfinite(number)) text.string(value.toString());
            else text.raw(value.toString());
            return true;
        }
        text.raw(value.toString());
        return true;
    }

    private boolean writeRare(Object value, JsonText text, int depth) {
        if (Times.write(value, text, names.isEvent)) return true;
        if (value instanceof CharSequence || value instanceof java.util.UUID) text.string(value.toString());
        else if (value instanceof Optional) write(((Optional<?>) value).orElse(null), text, depth);
        else if (value instanceof OptionalInt) writeOptional(((OptionalInt) value).isPresent(), value, text);
        else if (value instanceof OptionalLong) writeOptional(((OptionalLong) value).isPresent(), value, text);
        else if (value instanceof OptionalDouble) writeOptional(((OptionalDouble) value).isPresent(), value, text);
        else if (value instanceof AtomicBoolean) text.raw(value.toString());
        else if (value instanceof AtomicReference) write(((AtomicReference<?>) value).get(), text, depth);
        else if (value instanceof ByteBuffer) writeBuffer((ByteBuffer) value, text);
        else if (value instanceof Map.Entry) writeEntry((Map.Entry<?, ?>) value, text, depth);
        else if (value instanceof Iterator) writeAll((Iterator<?>) value, Object.class, text, depth);
        else if (value instanceof java.nio.file.Path) text.string(((java.nio.file.Path) value).toUri().toString());
        else if (value instanceof Iterable) writeAll(((Iterable<?>) value).iterator(), Object.class, text, depth);
        else if (value instanceof java.util.stream.BaseStream) {
            writeAll(((java.util.stream.BaseStream<?, ?>) value).iterator(), Object.class, text, depth);
        } else if (Joda.isTime(value)) text.string(value.toString());
        else return writeNamed(value, text);
        return true;
    }

    private static boolean writeNamed(Object value, JsonText text) {
        if (value instanceof Class) text.string(((Class<?>) value).getName());
        else if (value instanceof java.util.TimeZone) text.string(((java.util.TimeZone) value).getID());
        else if (value instanceof java.io.File) text.string(((java.io.File) value).getAbsolutePath());
        else if (value instanceof java.net.InetAddress) {
            String shown = value.toString();
            int slash = shown.indexOf('/');
            text.string(slash == 0 ? shown.substring(1) : slash > 0 ? shown.substring(0, slash) : shown);
        } else if (value instanceof java.net.URI || value instanceof java.net.URL || value instanceof java.util.Currency
                || value instanceof java.util.Locale || value instanceof java.util.regex.Pattern
                || value instanceof java.nio.charset.Charset) {
            text.string(value.toString());
        } else {
            return false;
        }
        return true;
    }

    private static void writeOptional(boolean isPresent, Object value, JsonText text) {
        String shown = value.toString();
        text.raw(isPresent ? shown.substring(shown.indexOf('[') + 1, shown.length() - 1) : "null");
    }

    private static void writeBuffer(ByteBuffer value, JsonText text) {
        ByteBuffer copy = value.duplicate();
        byte[] bytes = new byte[copy.remaining()];
        copy.get(bytes);
        text.string(Base64.getEncoder().encodeToString(bytes));
    }

    private void writeEntry(Map.Entry<?, ?> entry, JsonText text, int depth) {
        text.symbol('{');
        text.string(key(entry.getKey()));
        text.symbol(':');
        write(entry.getValue(), text, depth + 1);
        text.symbol('}');
    }

    private void writeMap(Map<?, ?> map, Type type, JsonText text, int depth) {
        text.symbol('{');
        boolean isFirst = true;
        for (Map.Entry<?, ?> each : map.entrySet()) {
            if (each.getValue() == null) continue;
            if (each.getKey() == null) {
                throw new MappingException(
                        "Null key for a Map not allowed in JSON (use a converting NullKeySerializer?)");
            }
            if (!isFirst) text.symbol(',');
            isFirst = false;
            text.string(key(each.getKey()));
            text.symbol(':');
            if (each.getValue() == map) throw new MappingException("Direct self-reference leading to cycle");
            writeAs(each.getValue(), type, text, depth + 1);
        }
        text.symbol('}');
    }

    private static String key(Object key) {
        if (key instanceof Enum) return ((Enum<?>) key).name();
        if (key instanceof Class) return ((Class<?>) key).getName();
        if (key instanceof java.util.Date) {
            return java.time.format.DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSxxx")
                    .withZone(java.time.ZoneOffset.UTC)
                    .format(java.time.Instant.ofEpochMilli(((java.util.Date) key).getTime()));
        }
        return key.toString();
    }

    private void writeAll(Iterator<?> elements, Type type, JsonText text, int depth) {
        text.symbol('[');
        boolean isFirst = true;
        while (elements.hasNext()) {
            if (!isFirst) text.symbol(',');
            isFirst = false;
            writeAs(elements.next(), type, text, depth + 1);
        }
        text.symbol(']');
    }

    private void writeArray(Object array, JsonText text, int depth) {
        if (array instanceof byte[]) {
            text.string(Base64.getEncoder().encodeToString((byte[]) array));
            return;
        }
        if (array instanceof char[]) {
            text.string(new String((char[]) array));
            return;
        }
        text.symbol('[');
        int length = Array.getLength(array);
        for (int index = 0; index < length; index++) {
            if (index > 0) text.symbol(',');
            write(Array.get(array, index), text, depth + 1);
        }
        text.symbol(']');
    }

    private Bean beanOf(Type type) {
        Bean bean = beans.get(type);
        if (bean == null) {
            bean = new Bean(type, names);
            beans.put(type, bean);
        }
        return bean;
    }

    private void writeBean(Bean bean, Object owner, JsonText text, int depth) {
        List<Property> properties = bean.readable;
        text.symbol('{');
        boolean isFirst = true;
        for (Property each : properties) {
            Object value = each.get(owner);
            if (value == null) continue;
            if (value == owner) {
                throw new MappingException("Direct self-reference leading to cycle (through reference chain: "
                        + bean.type.getName() + "[\"" + each.name + "\"])");
            }
            if (!isFirst) text.symbol(',');
            isFirst = false;
            text.string(each.name);
            text.symbol(':');
            write(value, text, depth + 1);
        }
        text.symbol('}');
    }
}
