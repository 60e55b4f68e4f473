package lambent.runtime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import lambent.runtime.json.JsonText;
import lambent.runtime.json.JsonWriter;

/** Errors as the caller gets them: errorMessage, errorType, stackTrace and the cause in the same form. */
final class ErrorPayload {
    private static final int CAUSES_MAX = 32;

    private ErrorPayload() {}

    static byte[] of(Throwable error) {
        if (error instanceof FunctionFault) {
            FunctionFault fault = (FunctionFault) error;
            Map<String, Object> members = new LinkedHashMap<>();
            members.put("errorMessage", fault.text);
            members.put("errorType", fault.errorType);
            return json(members);
        }
        return json(members(error, CAUSES_MAX));
    }

    private static Map<String, Object> members(Throwable error, int causes) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("errorMessage", FunctionFault.message(error));
        members.put("errorType", error.getClass().getName());
        List<String> frames = new ArrayList<>();
        for (StackTraceElement each : error.getStackTrace()) frames.add(each.toString());
        members.put("stackTrace", frames);
        Throwable cause = error.getCause();
        if (cause != null && causes > 0) members.put("cause", members(cause, causes - 1));
        return members;
    }

    private static byte[] json(Map<String, Object> members) {
        JsonText text = new JsonText(1_024);
        new JsonWriter(Map.class).write(members, text);
        return text.toBytes();
    }
}
