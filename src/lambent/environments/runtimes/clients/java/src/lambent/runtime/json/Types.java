package lambent.runtime.json;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Generic types with their variables replaced by what a place of use says. */
public final class Types {
    private Types() {}

    /** Return the class behind a type: that of a variable or wildcard is its bound. */
    public static Class<?> raw(Type type) {
        if (type instanceof Class) return (Class<?>) type;
        if (type instanceof ParameterizedType) return (Class<?>) ((ParameterizedType) type).getRawType();
        if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof WildcardType) return raw(((WildcardType) type).getUpperBounds()[0]);
        if (type instanceof TypeVariable) return raw(((TypeVariable<?>) type).getBounds()[0]);
        throw new MappingException("Unrecognized type " + type);
    }

    /** Return the arguments that `type` gives to the variables of `target`, a class or interface above it. */
    public static Type[] arguments(Type type, Class<?> target) {
        TypeVariable<?>[] variables = target.getTypeParameters();
        Map<TypeVariable<?>, Type> bindings = bindings(type);
        Type[] found = new Type[variables.length];
        for (int index = 0; index < found.length; index++) {
            Type bound = bindings.get(variables[index]);
            found[index] = bound == null ? Object.class : bound;
        }
        return found;
    }

    /** Return those arguments, or null when `type` leaves them out (a raw type). */
    public static Type[] argumentsOrNull(Type type, Class<?> target) {
        return bindings(type).containsKey(target.getTypeParameters()[0]) ? arguments(type, target) : null;
    }

    /** Return a type that a member of `owner` or of a class above it names, with owner's variables replaced. */
    public static Type within(Type type, Class<?> owner) {
        return resolve(type, bindings(owner));
    }

    /** Return what every variable of a type and of all that it extends or implements stands for. */
    static Map<TypeVariable<?>, Type> bindings(Type type) {
        Map<TypeVariable<?>, Type> bindings = new HashMap<>();
        collect(type, bindings);
        return bindings;
    }

    private static void collect(Type type, Map<TypeVariable<?>, Type> bindings) {
        if (type == null) return;
        if (type instanceof WildcardType || type instanceof TypeVariable) {
            collect(resolve(bound(type), bindings), bindings);
            return;
        }
        if (type instanceof GenericArrayType) return;
        Class<?> raw = raw(type);
        if (type instanceof ParameterizedType) {
            ParameterizedType parameterized = (ParameterizedType) type;
            Type[] arguments = parameterized.getActualTypeArguments();
            TypeVariable<?>[] variables = raw.getTypeParameters();
            for (int index = 0; index < variables.length; index++) {
                bindings.put(variables[index], resolve(arguments[index], bindings));
            }
            collect(parameterized.getOwnerType(), bindings);
        }
        collect(raw.getGenericSuperclass(), bindings);
        for (Type each : raw.getGenericInterfaces()) collect(each, bindings);
    }

    private static Type bound(Type type) {
        return type instanceof WildcardType
                ? ((WildcardType) type).getUpperBounds()[0]
                : ((TypeVariable<?>) type).getBounds()[0];
    }

    /** Return `type` with its variables replaced; those without a binding become their bound. */
    static Type resolve(Type type, Map<TypeVariable<?>, Type> bindings) {
        return resolve(type, bindings, 0);
    }

    private static Type resolve(Type type, Map<TypeVariable<?>, Type> bindings, int depth) {
        if (type instanceof Class) return type;
        if (depth > 16) return raw(type);
        if (type instanceof TypeVariable) {
            Type bound = bindings.get(type);
            if (bound == null || bound == type) return raw(((TypeVariable<?>) type).getBounds()[0]);
            return bound;
        }
        if (type instanceof WildcardType) {
            return resolve(((WildcardType) type).getUpperBounds()[0], bindings, depth + 1);
        }
        if (type instanceof GenericArrayType) {
            Type component = resolve(((GenericArrayType) type).getGenericComponentType(), bindings, depth + 1);
            return component instanceof Class
                    ? Array.newInstance((Class<?>) component, 0).getClass()
                    : new ArrayOf(component);
        }
        ParameterizedType parameterized = (ParameterizedType) type;
        Type[] arguments = parameterized.getActualTypeArguments();
        Type[] resolved = new Type[arguments.length];
        for (int index = 0; index < arguments.length; index++) {
            resolved[index] = resolve(arguments[index], bindings, depth + 1);
        }
        return new Parameterized(raw(type), resolved, parameterized.getOwnerType());
    }

    private static final class ArrayOf implements GenericArrayType {
        private final Type component;

        ArrayOf(Type component) {
            this.component = component;
        }

        @Override
        public Type getGenericComponentType() {
            return component;
        }
    }

    private static final class Parameterized implements ParameterizedType {
        private final Class<?> raw;
        private final Type[] arguments;
        private final Type owner;

        Parameterized(Class<?> raw, Type[] arguments, Type owner) {
            this.raw = raw;
            this.arguments = arguments;
            this.owner = owner;
        }

        @Override
        public Type[] getActualTypeArguments() {
            return arguments.clone();
        }

        @Override
        public Type getRawType() {
            return raw;
        }

        @Override
        public Type getOwnerType() {
            return owner;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Parameterized
                    && raw == ((Parameterized) other).raw
                    && Arrays.equals(arguments, ((Parameterized) other).arguments);
        }

        @Override
        public int hashCode() {
            return raw.hashCode() ^ Arrays.hashCode(arguments);
        }

        @Override
        public String toString() {
            return raw.getName() + Arrays.toString(arguments);
        }
    }
}
