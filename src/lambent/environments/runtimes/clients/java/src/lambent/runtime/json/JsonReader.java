package lambent.runtime.json;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.ListIterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicReference;

/**
 * JSON to objects of one type. Lenient as AWS's runtime: unknown members are skipped, one value may stand for a list.
 */
public final class JsonReader {
    private static final String JODA_TIME = "org.joda.time.DateTime";

    private final Type root;
    private final EventNames names;
    private final Map<Type, Bean> beans = new ConcurrentHashMap<>();

    public JsonReader(Type root) {
        this.root = root;
        this.names = EventNames.below(Types.raw(root));
    }

    /** Return the object that UTF-8 JSON stands for. Throws MappingException. */
    public Object read(byte[] json) {
        return read(JsonParser.parse(json), root);
    }

    private Object read(Object tree, Type type) {
        Class<?> raw = Types.raw(type);
        if (tree == null) return raw.isPrimitive() ? Scalars.nothing(raw) : absent(raw);
        if (raw == Object.class) return natural(tree);
        if (raw.isArray() && raw != byte[].class && raw != char[].class) return array(tree, type, raw);
        if (raw == byte[].class && tree instanceof List) return array(tree, type, raw);
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) return collection(tree, type, raw);
        if (tree instanceof List) return fromList((List<?>) tree, type, raw);
        if (raw.isEnum()) return constant(tree, raw);
        Scalars.Conversion conversion = Scalars.find(raw);
        if (conversion != null) return scalar(tree, raw, conversion);
        if (Map.class.isAssignableFrom(raw)) return map(tree, type, raw);
        if (raw == Optional.class) return Optional.ofNullable(read(tree, Types.arguments(type, raw)[0]));
        if (raw == AtomicReference.class) return new AtomicReference<>(read(tree, Types.arguments(type, raw)[0]));
        if (raw.getName().startsWith("java.util.Optional")) return optional(tree, raw);
        if (raw.getName().equals(JODA_TIME)) return Joda.read(raw, tree);
        return bean(tree, type, raw, null);
    }

    private static Object absent(Class<?> raw) {
        if (raw == Optional.class) return Optional.empty();
        if (raw == OptionalInt.class) return OptionalInt.empty();
        if (raw == OptionalLong.class) return OptionalLong.empty();
        if (raw == AtomicReference.class) return new AtomicReference<>();
        return raw == OptionalDouble.class ? OptionalDouble.empty() : null;
    }

    private Object optional(Object tree, Class<?> raw) {
        if (Scalars.isBlank(tree)) return absent(raw);
        boolean isWhole = raw != OptionalDouble.class;
        Object read = read(tree, !isWhole ? Double.class : raw == OptionalInt.class ? Integer.class : Long.class);
        if (read == null) throw Scalars.unfit(tree, raw.getName(), "no number");
        if (raw == OptionalInt.class) return OptionalInt.of((Integer) read);
        return raw == OptionalLong.class ? OptionalLong.of((Long) read) : OptionalDouble.of((Double) read);
    }

    private Object scalar(Object tree, Class<?> raw, Scalars.Conversion conversion) {
        if (tree instanceof Map) {
            throw new MappingException("Cannot deserialize value of type `" + raw.getName()
                    + "` from Object value (token `JsonToken.START_OBJECT`)");
        }
        if (names.isEvent && raw == java.util.Date.class) return Times.fromSeconds(tree);
        try {
            boolean isNothing = Scalars.isBlank(tree) && !isText(raw);
            Object read = isNothing ? null : conversion.convert(tree);
            return read == null ? Scalars.nothing(raw) : read;
        } catch (MappingException error) {
            throw error;
        } catch (Exception error) {
            throw new MappingException(Scalars.unfit(tree, raw.getName(), error.getMessage()).getMessage(), error);
        }
    }

    private static boolean isText(Class<?> raw) {
        return raw == String.class || raw == CharSequence.class || raw == StringBuilder.class || raw == byte[].class
                || raw == char[].class || raw == char.class || raw == Character.class
                || raw == java.nio.ByteBuffer.class;
    }

    // An empty array stands for null, an array of one for its element.
    private Object fromList(List<?> list, Type type, Class<?> raw) {
        Object time = Times.fromArray(list, raw);
        if (time != null) return time;
        boolean isOwn = raw == java.nio.ByteBuffer.class || isAbstract(raw);
        if (list.isEmpty() && !raw.isPrimitive() && !isOwn) return absent(raw);
        boolean isAtomic = raw.getName().startsWith("java.util.concurrent.atomic.") && raw != AtomicReference.class;
        if (list.size() == 1 && !Times.isArray(raw) && !isAtomic) {
            Object only = list.get(0);
            if (only != null || Scalars.isNullInArray(raw) || raw == OptionalInt.class || raw == OptionalLong.class
                    || raw == OptionalDouble.class) {
                return read(only, type);
            }
        }
        if (isAtomic && list.size() == 1 && list.get(0) == null) return null;
        throw new MappingException("Cannot deserialize value of type `" + raw.getName()
                + "` from Array value (token `JsonToken.START_ARRAY`)");
    }

    private Object array(Object tree, Type type, Class<?> raw) {
        Type component = type instanceof GenericArrayType
                ? ((GenericArrayType) type).getGenericComponentType()
                : raw.getComponentType();
        if (Scalars.isBlank(tree)) return null;
        if (tree instanceof String && Types.raw(component).isPrimitive()) {
            throw new MappingException(
                    "Cannot deserialize value of type `" + raw.getSimpleName() + "` from " + kind(tree));
        }
        List<?> elements = tree instanceof List ? (List<?>) tree : java.util.Collections.singletonList(tree);
        Object array = Array.newInstance(Types.raw(component), elements.size());
        int index = 0;
        for (Object each : elements) Array.set(array, index++, read(each, component));
        return array;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Object collection(Object tree, Type type, Class<?> raw) {
        Type element = raw == Iterable.class || !Collection.class.isAssignableFrom(raw)
                ? Types.arguments(type, Iterable.class)[0]
                : Types.arguments(type, Collection.class)[0];
        if (Scalars.isBlank(tree)) return null;
        Collection<Object> read = newCollection(raw, element);
        if (tree instanceof List) {
            for (Object each : (List<?>) tree) read.add(read(each, element));
        } else {
            read.add(read(tree, element));
        }
        return read;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Collection<Object> newCollection(Class<?> raw, Type element) {
        if (raw.isAssignableFrom(ArrayList.class)) return new ArrayList<>();
        if (raw == EnumSet.class) return (Collection) EnumSet.noneOf((Class) Types.raw(element));
        if (raw.isAssignableFrom(HashSet.class)) return new HashSet<>();
        if (raw.isAssignableFrom(TreeSet.class)) return new TreeSet<>();
        if (raw.isAssignableFrom(LinkedList.class)) return new LinkedList<>();
        if (raw.isAssignableFrom(ArrayDeque.class)) return new ArrayDeque<>();
        return (Collection<Object>) create(raw);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Object map(Object tree, Type type, Class<?> raw) {
        if (Scalars.isBlank(tree)) return null;
        if (!(tree instanceof Map)) {
            throw new MappingException("Cannot deserialize value of type `" + raw.getName() + "` from " + kind(tree));
        }
        Type[] arguments = Types.arguments(type, Map.class);
        Class<?> key = Types.raw(arguments[0]);
        boolean isPlainKey = key == String.class || key == Object.class || key == CharSequence.class;
        boolean isNatural = isPlainKey && arguments[1] == Object.class && raw != HashMap.class;
        if (isNatural && raw.isAssignableFrom(LinkedHashMap.class)) return natural(tree);
        Map<Object, Object> read = newMap(raw, key);
        for (Map.Entry<String, ?> each : ((Map<String, ?>) tree).entrySet()) {
            Object name = isPlainKey ? each.getKey() : read(each.getKey(), arguments[0]);
            read.put(name, read(each.getValue(), arguments[1]));
        }
        return read;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Map<Object, Object> newMap(Class<?> raw, Class<?> key) {
        if (raw == HashMap.class) return new HashMap<>();
        if (raw.isAssignableFrom(LinkedHashMap.class)) return new LinkedHashMap<>();
        if (raw == EnumMap.class) return (Map) new EnumMap(key);
        if (raw.isAssignableFrom(TreeMap.class)) return new TreeMap<>();
        if (raw.isAssignableFrom(ConcurrentHashMap.class)) return new ConcurrentHashMap<>();
        if (raw.isAssignableFrom(ConcurrentSkipListMap.class)) return new ConcurrentSkipListMap<>();
        return (Map<Object, Object>) create(raw);
    }

    private static Object create(Class<?> raw) {
        try {
            if (isAbstract(raw)) throw new NoSuchMethodException(raw.getName());
            java.lang.reflect.Constructor<?> constructor = raw.getDeclaredConstructor();
            if (!Modifier.isPublic(constructor.getModifiers()) || !Modifier.isPublic(raw.getModifiers())) {
                constructor.setAccessible(true);
            }
            return constructor.newInstance();
        } catch (ReflectiveOperationException | RuntimeException error) {
            throw new MappingException("Cannot construct instance of `" + raw.getName() + "`", error);
        }
    }

    private static boolean isAbstract(Class<?> raw) {
        boolean isKnown = Scalars.find(raw) != null || Map.class.isAssignableFrom(raw);
        boolean isMade = raw.isPrimitive() || raw.isArray() || isKnown;
        return !isMade && (raw.isInterface() || Modifier.isAbstract(raw.getModifiers()));
    }

    private Object constant(Object tree, Class<?> raw) {
        Object[] constants = raw.getEnumConstants();
        if (tree instanceof Integer) {
            int ordinal = (Integer) tree;
            return ordinal >= 0 && ordinal < constants.length ? constants[ordinal] : null;
        }
        if (tree instanceof Map || tree instanceof Boolean || tree instanceof Number) {
            throw new MappingException("Cannot deserialize value of type `" + raw.getName() + "` from " + kind(tree));
        }
        String text = tree.toString();
        for (Object each : constants) {
            if (((Enum<?>) each).name().equals(text)) return each;
        }
        String trimmed = text.trim();
        for (Object each : constants) {
            if (((Enum<?>) each).name().equals(trimmed)) return each;
        }
        return null;
    }

    private Object bean(Object tree, Type type, Class<?> raw, Object outer) {
        if (Scalars.isBlank(tree) && !isAbstract(raw)) return null;
        if (!(tree instanceof Map)) {
            throw new MappingException("Cannot construct instance of `" + raw.getName()
                    + "` (although at least one Creator exists): no " + creator(tree));
        }
        Bean bean = beans.get(type);
        if (bean == null) {
            bean = new Bean(type, names);
            beans.put(type, bean);
        }
        Map<?, ?> members = (Map<?, ?>) tree;
        if (bean.isRecord()) return record(bean, members);
        Object owner = bean.create(outer);
        for (Map.Entry<?, ?> each : members.entrySet()) {
            Property property = bean.settable.get(each.getKey());
            if (property == null) continue;
            property.set(owner, readMember(bean, property, each.getValue(), owner));
        }
        return owner;
    }

    private Object record(Bean bean, Map<?, ?> members) {
        Object[] values = bean.componentValues();
        for (Property property : bean.settable.values()) {
            if (property.component < 0) continue;
            values[property.component] = readMember(bean, property, members.get(property.name), null);
        }
        return bean.instantiate(values);
    }

    private Object readMember(Bean bean, Property property, Object tree, Object owner) {
        try {
            Type type = property.inputType(bean.bindings);
            Class<?> raw = Types.raw(type);
            boolean isInner = owner != null && tree instanceof Map && Bean.isInner(raw, owner.getClass());
            return isInner ? bean(tree, type, raw, owner) : read(tree, type);
        } catch (MappingException error) {
            throw new MappingException(error.getMessage() + " (through reference chain: " + bean.type.getName() + "[\""
                    + property.name + "\"])", error.getCause());
        }
    }

    private static String creator(Object tree) {
        if (tree instanceof String) {
            return "String-argument constructor/factory method to deserialize from String value ('" + tree + "')";
        }
        if (tree instanceof Boolean) return "boolean/Boolean-argument constructor/factory method to deserialize from "
                + "boolean value (" + tree + ")";
        return tree instanceof Decimal
                ? "double/Double-argument constructor/factory method to deserialize from Number value (" + tree + ")"
                : "int/Int-argument constructor/factory method to deserialize from Number value (" + tree + ")";
    }

    private static String kind(Object tree) {
        if (tree instanceof String) return "String value (token `JsonToken.VALUE_STRING`)";
        if (Boolean.TRUE.equals(tree)) return "Boolean value (token `JsonToken.VALUE_TRUE`)";
        if (Boolean.FALSE.equals(tree)) return "Boolean value (token `JsonToken.VALUE_FALSE`)";
        if (tree instanceof Map) return "Object value (token `JsonToken.START_OBJECT`)";
        return tree instanceof Decimal
                ? "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"
                : "Integer value (token `JsonToken.VALUE_NUMBER_INT`)";
    }

    /** Return the tree with plain doubles, changed in place: what a handler of Object or Map gets. */
    @SuppressWarnings("unchecked")
    static Object natural(Object tree) {
        if (tree instanceof Decimal) return ((Decimal) tree).doubleValue();
        if (tree instanceof Map) {
            for (Map.Entry<String, Object> each : ((Map<String, Object>) tree).entrySet()) {
                Object value = each.getValue();
                if (value instanceof Decimal) each.setValue(((Decimal) value).doubleValue());
                else if (value instanceof Map || value instanceof List) natural(value);
            }
        } else if (tree instanceof List) {
            ListIterator<Object> elements = ((List<Object>) tree).listIterator();
            while (elements.hasNext()) {
                Object value = elements.next();
                if (value instanceof Decimal) elements.set(((Decimal) value).doubleValue());
                else if (value instanceof Map || value instanceof List) natural(value);
            }
        }
        return tree;
    }

    @Override
    public String toString() {
        return "JsonReader of " + Arrays.asList(root, names.isEvent);
    }
}
