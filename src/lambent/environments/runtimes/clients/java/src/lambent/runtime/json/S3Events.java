package lambent.runtime.json;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** S3's notifications: classes without setters, built by their longest constructors from members in a fixed order. */
public final class S3Events {
    private static final String[] CLASSES = {
        "com.amazonaws.services.lambda.runtime.events.S3Event",
        "com.amazonaws.services.lambda.runtime.events.models.s3.S3EventNotification",
        "com.amazonaws.services.s3.event.S3EventNotification",
    };
    // Class (behind the notification's) → its constructor's arguments as members of JSON.
    private static final String[][] MEMBERS = {
        {"S3EventNotificationRecord", "awsRegion", "eventName", "eventSource", "eventTime", "eventVersion",
            "requestParameters", "responseElements", "s3", "userIdentity"},
        {"S3Entity", "configurationId", "bucket", "object", "s3SchemaVersion"},
        {"S3BucketEntity", "name", "ownerIdentity", "arn"},
        {"S3ObjectEntity", "key", "size", "eTag", "versionId", "sequencer"},
        {"UserIdentityEntity", "principalId"},
        {"RequestParametersEntity", "sourceIPAddress"},
        {"ResponseElementsEntity", "x-amz-id-2", "x-amz-request-id"},
    };

    private S3Events() {}

    public static boolean isEvent(Class<?> type) {
        for (String each : CLASSES) {
            if (each.equals(type.getName())) return true;
        }
        return false;
    }

    /** Return the event of class `type` that UTF-8 JSON stands for. Throws MappingException. */
    public static Object read(byte[] json, Class<?> type) {
        Object tree = JsonParser.parse(json);
        Object listed = tree instanceof Map ? ((Map<?, ?>) tree).get("Records") : null;
        try {
            Constructor<?> constructor = type.getConstructor(List.class);
            Type element = ((ParameterizedType) constructor.getGenericParameterTypes()[0]).getActualTypeArguments()[0];
            List<Object> records = new ArrayList<>();
            if (listed instanceof List) {
                for (Object each : (List<?>) listed) records.add(build(each, Types.raw(element)));
            }
            return constructor.newInstance(records);
        } catch (InvocationTargetException error) {
            throw new MappingException(error.getCause().getMessage(), error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new MappingException("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }

    // What is missing is empty text, zero, or an object of such: never null.
    private static Object build(Object tree, Class<?> type) throws ReflectiveOperationException {
        Map<?, ?> members = tree instanceof Map ? (Map<?, ?>) tree : new LinkedHashMap<>();
        String[] names = members(type);
        Constructor<?> constructor = longest(type, names.length - 1);
        Class<?>[] types = constructor.getParameterTypes();
        Object[] arguments = new Object[types.length];
        for (int index = 0; index < types.length; index++) {
            Object member = members.get(names[index + 1]);
            if (types[index] == String.class) arguments[index] = member == null ? "" : member.toString();
            else if (types[index] != Long.class) arguments[index] = build(member, types[index]);
            else arguments[index] = member instanceof Number ? ((Number) member).longValue() : 0L;
        }
        return constructor.newInstance(arguments);
    }

    private static Constructor<?> longest(Class<?> type, int most) throws NoSuchMethodException {
        Constructor<?> found = null;
        for (Constructor<?> each : type.getConstructors()) {
            if (each.getParameterCount() > most || !isBuildable(each)) continue;
            if (found == null || each.getParameterCount() > found.getParameterCount()) found = each;
        }
        if (found == null) throw new NoSuchMethodException(type.getName());
        return found;
    }

    private static boolean isBuildable(Constructor<?> constructor) {
        for (Class<?> each : constructor.getParameterTypes()) {
            if (each != String.class && each != Long.class && members(each) == null) return false;
        }
        return true;
    }

    private static String[] members(Class<?> type) {
        String name = type.getSimpleName();
        for (String[] each : MEMBERS) {
            if (each[0].equals(name)) return each;
        }
        return null;
    }
}
