package lambent.runtime.json;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What of a class is JSON: public fields, public getters and setters of any visibility, records by their components.
 *
 * <p>The rules are those of the mapping that AWS's runtime configures: names of the JavaBeans standard (getURL is
 * "URL"), fields first and those of superclasses before, no annotations.
 */
final class Bean {
    final Class<?> type;
    final Map<TypeVariable<?>, Type> bindings;
    final List<Property> readable = new ArrayList<>();
    final Map<String, Property> settable = new LinkedHashMap<>();
    private final Constructor<?> constructor;
    private final int components;

    Bean(Type type, EventNames names) {
        this.type = Types.raw(type);
        this.bindings = Types.bindings(type);
        Map<String, Property> found = new LinkedHashMap<>();
        boolean isRecord = isRecord(this.type);
        collectFields(this.type, found, isRecord);
        Set<String> seen = new HashSet<>();
        collectMethods(this.type, found, seen, isRecord);
        constructor = isRecord ? recordConstructor(found) : plainConstructor();
        components = isRecord ? constructor.getParameterCount() : -1;
        for (Property each : named(found, names)) {
            if (each.isReadable()) readable.add(each);
            if (each.isSettable()) settable.put(each.name, each);
        }
    }

    // Those with a name of their own come last, as AWS's runtime writes them.
    private Iterable<Property> named(Map<String, Property> found, EventNames names) {
        Map<String, Property> plain = new LinkedHashMap<>();
        Map<String, Property> own = new LinkedHashMap<>();
        for (Map.Entry<String, Property> each : found.entrySet()) {
            String name = names.ownNameOf(type, each.getKey());
            if (name == null) add(plain, names.nameOf(each.getKey()), each.getValue());
            else add(own, name, each.getValue());
        }
        own.forEach((name, property) -> add(plain, name, property));
        return plain.values();
    }

    private static void add(Map<String, Property> all, String name, Property found) {
        Property property = new Property(name);
        property.component = found.component;
        property.merge(found);
        Property earlier = all.putIfAbsent(name, property);
        if (earlier != null) earlier.merge(property);
    }

    /** Return a new object without values; `outer` is the object of an inner class. Throws MappingException. */
    Object create(Object outer) {
        boolean isFitting = constructor != null && constructor.getParameterCount() == (outer == null ? 0 : 1);
        if (!isFitting) throw new MappingException(missingConstructor());
        return instantiate(outer == null ? new Object[0] : new Object[] {outer});
    }

    /** Whether objects of a class belong to one of another. */
    static boolean isInner(Class<?> type, Class<?> outer) {
        return type.getEnclosingClass() == outer && !Modifier.isStatic(type.getModifiers()) && type.isMemberClass();
    }

    boolean isRecord() {
        return components >= 0;
    }

    Object[] componentValues() {
        Object[] values = new Object[components];
        Class<?>[] types = constructor.getParameterTypes();
        for (int index = 0; index < components; index++) values[index] = Scalars.nothing(types[index]);
        return values;
    }

    Object instantiate(Object[] arguments) {
        try {
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause();
            if (cause instanceof Error) throw (Error) cause;
            throw new MappingException("Cannot construct instance of `" + type.getName() + "`, problem: "
                    + cause.getMessage(), cause);
        } catch (ReflectiveOperationException | RuntimeException error) {
            throw new MappingException("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }

    private String missingConstructor() {
        String shown = "Cannot construct instance of `" + type.getName() + "` ";
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            return shown + "(no Creators, like default constructor, exist): abstract types either need to be mapped to "
                    + "concrete types, have custom deserializer, or contain additional type information";
        }
        if (type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers())) {
            return shown + "(although at least one Creator exists): can only instantiate non-static inner class by "
                    + "using default, no-argument constructor";
        }
        return shown + "(no Creators, like default constructor, exist): cannot deserialize from Object value "
                + "(no delegate- or property-based Creator)";
    }

    private Constructor<?> plainConstructor() {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) return null;
        try {
            Class<?> outer = type.getEnclosingClass();
            boolean isInner = outer != null && isInner(type, outer);
            Constructor<?> found = isInner ? type.getDeclaredConstructor(outer) : type.getDeclaredConstructor();
            if (!Modifier.isPublic(found.getModifiers()) || !Modifier.isPublic(type.getModifiers())) {
                found.setAccessible(true);
            }
            return found;
        } catch (NoSuchMethodException | RuntimeException error) {
            return null;
        }
    }

    private Constructor<?> recordConstructor(Map<String, Property> found) {
        List<Class<?>> types = new ArrayList<>();
        for (Field each : type.getDeclaredFields()) {
            if (Modifier.isStatic(each.getModifiers()) || each.isSynthetic()) continue;
            found.get(each.getName()).component = types.size();
            types.add(each.getType());
        }
        try {
            Constructor<?> canonical = type.getDeclaredConstructor(types.toArray(new Class<?>[0]));
            canonical.setAccessible(true);
            return canonical;
        } catch (NoSuchMethodException error) {
            throw new MappingException("Record `" + type.getName() + "` has no canonical constructor", error);
        }
    }

    // A property keeps the place of its field, even of one that is itself not shown.
    private static void collectFields(Class<?> type, Map<String, Property> found, boolean isRecord) {
        if (type == null || type == Object.class) return;
        collectFields(type.getSuperclass(), found, isRecord);
        for (Field each : type.getDeclaredFields()) {
            int modifiers = each.getModifiers();
            if (Modifier.isStatic(modifiers) || each.isSynthetic()) continue;
            Property property = found.computeIfAbsent(each.getName(), Property::new);
            if (isRecord || (Modifier.isPublic(modifiers) && !Modifier.isTransient(modifiers))) {
                property.offerField(each);
            }
        }
    }

    private static void collectMethods(Class<?> type, Map<String, Property> found, Set<String> seen, boolean isRecord) {
        if (type == null || type == Object.class) return;
        for (Method each : type.getDeclaredMethods()) {
            if (Modifier.isStatic(each.getModifiers()) || each.isSynthetic() || each.isBridge()) continue;
            String name = each.getName();
            if (each.getParameterCount() == 0) {
                String property = Modifier.isPublic(each.getModifiers()) ? gettersProperty(each) : null;
                if (property != null && seen.add(name)) {
                    found.computeIfAbsent(property, Property::new).offerGetter(each);
                }
            } else if (each.getParameterCount() == 1 && name.startsWith("set") && !isRecord) {
                String property = mangled(name, 3);
                if (property != null && seen.add(name + "/" + each.getParameterTypes()[0].getName())) {
                    found.computeIfAbsent(property, Property::new).offerSetter(each);
                }
            }
        }
        for (Class<?> each : type.getInterfaces()) collectMethods(each, found, seen, isRecord);
        collectMethods(type.getSuperclass(), found, seen, isRecord);
    }

    private static String gettersProperty(Method method) {
        String name = method.getName();
        Class<?> returned = method.getReturnType();
        if (returned == void.class) return null;
        if (name.startsWith("get")) return mangled(name, 3);
        boolean isFlag = returned == boolean.class || returned == Boolean.class;
        return isFlag && name.startsWith("is") ? mangled(name, 2) : null;
    }

    /** The name of the JavaBeans standard: the first letter is made small unless the second is a capital too. */
    private static String mangled(String method, int offset) {
        if (method.length() == offset) return null;
        char first = method.charAt(offset);
        char small = Character.toLowerCase(first);
        boolean isKept = first == small
                || (method.length() > offset + 1 && Character.isUpperCase(method.charAt(offset + 1)));
        return isKept ? method.substring(offset) : small + method.substring(offset + 1);
    }

    private static boolean isRecord(Class<?> type) {
        Class<?> parent = type.getSuperclass();
        return parent != null && parent.getName().equals("java.lang.Record");
    }
}
