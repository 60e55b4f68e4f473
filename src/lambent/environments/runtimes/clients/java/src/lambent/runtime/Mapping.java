package lambent.runtime;

import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.lang.reflect.Type;
import java.util.Iterator;
import java.util.ServiceLoader;
import lambent.runtime.json.JsonReader;
import lambent.runtime.json.JsonText;
import lambent.runtime.json.JsonWriter;
import lambent.runtime.json.S3Events;
import lambent.runtime.json.Types;

/** How one function's JSON becomes objects: by the package's own serializer if it brings one, else by the runtime's. */
final class Mapping {
    private static final int FIRST_BYTES = 1_024;

    private final CustomPojoSerializer own;

    private Mapping(CustomPojoSerializer own) {
        this.own = own;
    }

    static Mapping of(ClassLoader loader) {
        Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
        CustomPojoSerializer own = found.hasNext() ? found.next() : null;
        if (own != null && found.hasNext()) {
            throw FunctionFault.of(
                    "Too many serializers provided inside the META-INF/services folder, only one is allowed");
        }
        return new Mapping(own);
    }

    /** Return what reads a type. It throws RuntimeException where JSON does not fit. */
    Input input(Type type) {
        if (own != null) return json -> own.fromJson(new ByteArrayInputStream(json), type);
        Class<?> raw = Types.raw(type);
        if (S3Events.isEvent(raw)) return json -> S3Events.read(json, raw);
        return new JsonReader(type)::read;
    }

    /** Return what writes a type. It throws RuntimeException where a value cannot be written. */
    Output output(Type type) {
        if (own != null) {
            return value -> {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream(FIRST_BYTES);
                own.toJson(value, bytes, type);
                return bytes.toByteArray();
            };
        }
        JsonWriter writer = new JsonWriter(type);
        return value -> {
            JsonText text = new JsonText(FIRST_BYTES);
            writer.write(value, text);
            return text.toBytes();
        };
    }

    /** From JSON. */
    interface Input {
        Object read(byte[] json);
    }

    /** To JSON. */
    interface Output {
        byte[] write(Object value);
    }
}
