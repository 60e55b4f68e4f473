package lambent.runtime.json;

/** Text is no JSON, or does not fit the type it was asked for, or an object cannot be written. */
public final class MappingException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    MappingException(String message) {
        super(message);
    }

    MappingException(String message, Throwable cause) {
        super(message, cause);
    }
}
