package lambent.runtime.json;

import java.lang.reflect.InvocationTargetException;

/** The Joda-Time instants of AWS's event classes, which the package brings. */
final class Joda {
    private Joda() {}

    static boolean isTime(Object value) {
        return value.getClass().getName().equals("org.joda.time.DateTime");
    }

    static Object read(Class<?> type, Object tree) {
        try {
            return type.getMethod("parse", String.class).invoke(null, tree.toString());
        } catch (InvocationTargetException error) {
            throw new MappingException(error.getCause().getMessage(), error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new MappingException("Cannot read `" + type.getName() + "`", error);
        }
    }
}
