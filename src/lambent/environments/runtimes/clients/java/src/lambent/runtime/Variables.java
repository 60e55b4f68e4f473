package lambent.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.util.Map;
import java.util.TimeZone;

/** Environment variables of a process that started before it was known whose they are. */
final class Variables {
    private Variables() {}

    /** Replace what System.getenv says, here and for child processes. */
    static void replace(Map<String, String> variables) throws ReflectiveOperationException {
        NativeVariables.replace(variables);
        Map<String, String> all = view();
        all.clear();
        all.putAll(variables);
        String zone = variables.get("TZ");
        if (zone != null) useZone(zone.startsWith(":") ? zone.substring(1) : zone);
    }

    /** Set one variable where the Java version lets it be; nothing otherwise. */
    static void set(String name, String value) {
        try {
            if (value == null) view().remove(name);
            else view().put(name, value);
        } catch (ReflectiveOperationException | RuntimeException error) {
            // The variable repeats what a system property says.
        }
    }

    // java.lang must be open to this class: Main is started so.
    @SuppressWarnings("unchecked")
    private static Map<String, String> view() throws ReflectiveOperationException {
        Class<?> environment = Class.forName("java.lang.ProcessEnvironment");
        Field held = environment.getDeclaredField("theEnvironment");
        held.setAccessible(true);
        Constructor<?> constructor =
                Class.forName("java.lang.ProcessEnvironment$StringEnvironment").getDeclaredConstructor(Map.class);
        constructor.setAccessible(true);
        return (Map<String, String>) constructor.newInstance(held.get(null));
    }

    private static void useZone(String name) {
        if (name.isEmpty() || name.equals("UTC")) return;
        System.setProperty("user.timezone", name);
        TimeZone.setDefault(null);
    }
}
