package lambent.runtime;

/** One answer of GET next. */
final class Invocation {
    int status;
    String requestId = "";
    long deadlineMs;
    String functionArn;
    String traceId;
    String clientContext;
    String identity;
    String tenantId;
    byte[] body;

    /** Take what a header of the Runtime API says; names are in small letters. */
    void take(String name, String value) {
        switch (name) {
            case "lambda-runtime-aws-request-id":
                requestId = value;
                break;
            case "lambda-runtime-deadline-ms":
                deadlineMs = Long.parseLong(value);
                break;
            case "lambda-runtime-invoked-function-arn":
                functionArn = value;
                break;
            case "lambda-runtime-trace-id":
                traceId = value;
                break;
            case "lambda-runtime-client-context":
                clientContext = value;
                break;
            case "lambda-runtime-cognito-identity":
                identity = value;
                break;
            case "lambda-runtime-aws-tenant-id":
                tenantId = value;
                break;
            default:
        }
    }
}
