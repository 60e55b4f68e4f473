package lambent.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import lambent.runtime.json.Types;

/**
 * From `Handler` ("package.Class::method" or "package.Class") to what is called.
 *
 * <p>What is wrong with a handler is the answer to every invocation; only a class or constructor that fails while it is
 * loaded ends Init. Source: observed (AWS's runtime for Java).
 */
final class HandlerLoader {
    private final ClassLoader loader;
    private Mapping mapping;

    HandlerLoader(ClassLoader loader) {
        this.loader = loader;
    }

    /** Return the target. Throws FunctionFault, which ends Init. */
    Target load(String handler) {
        int colons = handler.lastIndexOf("::");
        String className = colons < 0 ? handler : handler.substring(0, colons);
        String methodName = colons < 0 ? null : handler.substring(colons + 2);
        if (className.isEmpty() || (methodName != null && methodName.isEmpty())) {
            return Targets.fault(FunctionFault.of("Invalid handler: `" + handler + "'"));
        }
        Class<?> type;
        try {
            type = Class.forName(className, true, loader);
        } catch (ClassNotFoundException error) {
            return Targets.fault(new FunctionFault("Class not found: " + className, error.getClass().getName(),
                    FunctionFault.trace(error), false));
        } catch (NoClassDefFoundError error) {
            return Targets.fault(loadingFailed(className, error));
        } catch (Throwable error) {
            throw loadingFailed(className, error);
        }
        try {
            mapping = Mapping.of(loader);
            return methodName == null ? ofInterface(type) : ofMethod(type, methodName);
        } catch (FunctionFault fault) {
            if (fault.isFatal) throw fault;
            return Targets.fault(fault);
        } catch (Throwable error) {
            return Targets.fault(FunctionFault.of(error, false));
        }
    }

    private static FunctionFault loadingFailed(String className, Throwable error) {
        String why = error.getMessage() == null ? "" : ": " + error.getMessage();
        return new FunctionFault("Error loading class " + className + why, error.getClass().getName(),
                FunctionFault.trace(error), true);
    }

    @SuppressWarnings("unchecked")
    private Target ofInterface(Class<?> type) throws Exception {
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            return Targets.stream((RequestStreamHandler) instance(type));
        }
        if (!RequestHandler.class.isAssignableFrom(type)) {
            throw FunctionFault.of("Class does not implement an appropriate handler interface: " + type.getName());
        }
        Type[] types = Types.argumentsOrNull(type, RequestHandler.class);
        if (types == null) {
            throw FunctionFault.of(
                    "Class " + type.getName() + " does not implement RequestHandler with concrete type parameters");
        }
        RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) instance(type);
        return Targets.object(handler, mapping.input(types[0]), output(types[1]));
    }

    private Target ofMethod(Class<?> type, String name) throws Exception {
        List<Method> overloads = new ArrayList<>();
        try {
            for (Method each : type.getMethods()) {
                if (each.getName().equals(name)) overloads.add(each);
            }
        } catch (NoClassDefFoundError error) {
            throw new FunctionFault("Error loading method " + name + " on class " + type.getName(),
                    error.getClass().getName(), FunctionFault.trace(error), false);
        }
        overloads.sort((left, right) -> Integer.compare(rank(right), rank(left)));
        for (Method each : overloads) {
            Target target = ofOverload(type, each);
            if (target != null) return target;
        }
        throw FunctionFault.of("No public method named " + name
                + " with appropriate method signature found on class " + type.getName());
    }

    // The compiler's bridges come last; longer signatures first, and a context at the end counts as one more.
    private static int rank(Method method) {
        Class<?>[] parameters = method.getParameterTypes();
        int count = parameters.length;
        if (count > 0 && parameters[count - 1] == Context.class) count++;
        return method.isBridge() ? count - 1_000 : count;
    }

    private Target ofOverload(Class<?> type, Method method) throws Exception {
        Class<?>[] parameters = method.getParameterTypes();
        String refusal = refusal(method, parameters);
        if (refusal != null) {
            System.err.println(refusal);
            return null;
        }
        boolean isStream = false;
        for (Class<?> each : parameters) isStream |= each == InputStream.class || each == OutputStream.class;
        Object owner = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
        Targets.Call call = new Targets.Call(method, owner);
        if (isStream) {
            if (method.getReturnType() != void.class && method.getReturnType() != Void.class) {
                System.err.println("Will ignore return type " + method.getReturnType() + " on byte stream handler");
            }
            return Targets.streamMethod(call, parameters);
        }
        boolean takesContext = parameters.length > 0 && parameters[parameters.length - 1] == Context.class;
        boolean takesInput = parameters.length > (takesContext ? 1 : 0);
        Mapping.Input input =
                takesInput ? mapping.input(Types.within(method.getGenericParameterTypes()[0], type)) : null;
        return Targets.objectMethod(
                call, input, output(Types.within(method.getGenericReturnType(), type)), takesContext);
    }

    /** Return why an overload cannot be a handler, or null. */
    private static String refusal(Method method, Class<?>[] parameters) {
        if (parameters.length > 3) {
            return "Ignoring an overload of method " + method.getName()
                    + " because it has too many parameters: Expected at most 3, got " + parameters.length;
        }
        if (parameters.length == 3) {
            Class<?>[] wanted = {InputStream.class, OutputStream.class, Context.class};
            return Arrays.equals(parameters, wanted)
                    ? null
                    : "Ignoring three-argument overload because argument signature is not "
                            + "(InputStream, OutputStream, Context";
        }
        if (parameters.length < 2) return null;
        if (parameters[0] == Context.class) {
            return "Ignoring two-argument overload because first argument type is Context";
        }
        if (parameters[1] == Context.class) return null;
        if (parameters[0] == InputStream.class) {
            return parameters[1] == OutputStream.class
                    ? null
                    : "Ignoring two-argument overload because second parameter type, " + parameters[1].getName()
                            + ", is not OutputStream.";
        }
        if (parameters[0] == OutputStream.class) {
            return "Ignoring two-argument overload because first argument type is OutputStream and second argument "
                    + "type is not Context";
        }
        return "Ignoring two-argument overload because second parameter type is not Context";
    }

    private Mapping.Output output(Type type) {
        return type == void.class || type == Void.class ? null : mapping.output(type);
    }

    private static Object instance(Class<?> type) throws Exception {
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException error) {
            if (type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers())) {
                throw new Exception("Class " + type.getName()
                        + " cannot be instantiated because it is a non-static inner class");
            }
            throw new Exception("Class " + type.getName() + " has no public zero-argument constructor", error);
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException error) {
            throw FunctionFault.of(error.getCause() == null ? error : error.getCause(), true);
        }
    }
}
