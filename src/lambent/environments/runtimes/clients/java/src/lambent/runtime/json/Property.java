package lambent.runtime.json;

import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.Map;

/** One property of a bean: how it is read from an object and how it is set. */
final class Property {
    final String name;
    private Field field;
    private Method getter;
    private Method setter;
    /** Position among a record's components, -1 for a bean's property. */
    int component = -1;

    Property(String name) {
        this.name = name;
    }

    void offerField(Field found) {
        field = found;
        open(found);
    }

    /** The first getter found is that of the lowest class; "get" wins over "is". */
    void offerGetter(Method found) {
        if (getter != null && (getter.getName().startsWith("get") || !found.getName().startsWith("get"))) return;
        getter = found;
        open(found);
    }

    /** Among overloads one that takes a primitive goes first, then one that takes text. */
    void offerSetter(Method found) {
        if (setter != null && rank(found) <= rank(setter)) return;
        setter = found;
        open(found);
    }

    void merge(Property other) {
        if (other.field != null && field == null) field = other.field;
        if (other.getter != null) offerGetter(other.getter);
        if (other.setter != null) offerSetter(other.setter);
    }

    boolean isReadable() {
        return getter != null || field != null;
    }

    boolean isSettable() {
        return setter != null || field != null || component >= 0;
    }

    Type inputType(Map<TypeVariable<?>, Type> bindings) {
        Type declared = setter != null
                ? setter.getGenericParameterTypes()[0]
                : field != null ? field.getGenericType() : getter.getGenericReturnType();
        return Types.resolve(declared, bindings);
    }

    Object get(Object owner) {
        try {
            return getter != null ? getter.invoke(owner) : field.get(owner);
        } catch (InvocationTargetException error) {
            throw failed(owner, error.getCause());
        } catch (IllegalAccessException | RuntimeException error) {
            throw failed(owner, error);
        }
    }

    void set(Object owner, Object value) {
        try {
            if (setter != null) setter.invoke(owner, value);
            else field.set(owner, value);
        } catch (InvocationTargetException error) {
            throw failed(owner, error.getCause());
        } catch (IllegalAccessException | RuntimeException error) {
            throw failed(owner, error);
        }
    }

    private MappingException failed(Object owner, Throwable error) {
        if (error instanceof Error) throw (Error) error;
        return new MappingException(
                error.getMessage() + " (through reference chain: " + owner.getClass().getName() + "[\"" + name + "\"])",
                error);
    }

    private static int rank(Method candidate) {
        Class<?> taken = candidate.getParameterTypes()[0];
        return taken.isPrimitive() ? 2 : taken == String.class ? 1 : 0;
    }

    private static void open(AccessibleObject member) {
        Member found = (Member) member;
        boolean isPublic = Modifier.isPublic(found.getModifiers())
                && Modifier.isPublic(found.getDeclaringClass().getModifiers());
        boolean isFinal = member instanceof Field && Modifier.isFinal(found.getModifiers());
        if (isPublic && !isFinal) return;
        try {
            member.setAccessible(true);
        } catch (RuntimeException error) {
            // A class of the JDK that keeps its members to itself: using it says so.
        }
    }
}
