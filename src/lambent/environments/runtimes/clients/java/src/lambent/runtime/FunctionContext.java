package lambent.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import lambent.runtime.json.JsonParser;

/** The context object of one invocation. Fields hold plain values, for functions print the object as JSON. */
final class FunctionContext implements Context {
    private final int memoryLimit;
    private final String awsRequestId;
    private final String logGroupName;
    private final String logStreamName;
    private final String functionName;
    private final String functionVersion;
    private final String invokedFunctionArn;
    private final long deadlineTimeInMs;
    private final CognitoIdentity cognitoIdentity;
    private final ClientContext clientContext;
    private final String tenantId;
    private final String xrayTraceId;
    private final transient LambdaLogger logger;

    FunctionContext(Invocation invocation, Map<String, String> variables, LambdaLogger logger) {
        memoryLimit = Integer.parseInt(variables.getOrDefault("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"));
        logGroupName = variables.get("AWS_LAMBDA_LOG_GROUP_NAME");
        logStreamName = variables.get("AWS_LAMBDA_LOG_STREAM_NAME");
        functionName = variables.get("AWS_LAMBDA_FUNCTION_NAME");
        functionVersion = variables.get("AWS_LAMBDA_FUNCTION_VERSION");
        awsRequestId = invocation.requestId;
        invokedFunctionArn = invocation.functionArn;
        deadlineTimeInMs = invocation.deadlineMs;
        tenantId = invocation.tenantId;
        xrayTraceId = invocation.traceId;
        Map<?, ?> identity = parse(invocation.identity);
        cognitoIdentity = identity == null ? null : new Identity(identity);
        Map<?, ?> sent = parse(invocation.clientContext);
        clientContext = sent == null ? null : new Sent(sent);
        this.logger = logger;
    }

    @Override
    public String getAwsRequestId() {
        return awsRequestId;
    }

    @Override
    public String getLogGroupName() {
        return logGroupName;
    }

    @Override
    public String getLogStreamName() {
        return logStreamName;
    }

    @Override
    public String getFunctionName() {
        return functionName;
    }

    @Override
    public String getFunctionVersion() {
        return functionVersion;
    }

    @Override
    public String getInvokedFunctionArn() {
        return invokedFunctionArn;
    }

    @Override
    public CognitoIdentity getIdentity() {
        return cognitoIdentity;
    }

    @Override
    public ClientContext getClientContext() {
        return clientContext;
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) Math.max(0, deadlineTimeInMs - System.currentTimeMillis());
    }

    @Override
    public int getMemoryLimitInMB() {
        return memoryLimit;
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getTenantId() {
        return tenantId;
    }

    @Override
    public String getXrayTraceId() {
        return xrayTraceId;
    }

    private static Map<?, ?> parse(String json) {
        if (json == null || json.isEmpty()) return null;
        // Headers were read as Latin text; what a client sent in them is UTF-8.
        Object tree = JsonParser.parse(json.getBytes(StandardCharsets.ISO_8859_1));
        return tree instanceof Map ? (Map<?, ?>) tree : null;
    }

    private static String text(Map<?, ?> members, String name) {
        Object found = members.get(name);
        return found == null ? null : found.toString();
    }

    private static Map<String, String> texts(Object tree) {
        if (!(tree instanceof Map)) return null;
        Map<String, String> texts = new LinkedHashMap<>();
        for (Map.Entry<?, ?> each : ((Map<?, ?>) tree).entrySet()) {
            texts.put(each.getKey().toString(), each.getValue() == null ? null : each.getValue().toString());
        }
        return texts;
    }

    private static final class Identity implements CognitoIdentity {
        private final String cognitoIdentityId;
        private final String cognitoIdentityPoolId;

        Identity(Map<?, ?> members) {
            cognitoIdentityId = text(members, "cognitoIdentityId");
            cognitoIdentityPoolId = text(members, "cognitoIdentityPoolId");
        }

        @Override
        public String getIdentityId() {
            return cognitoIdentityId;
        }

        @Override
        public String getIdentityPoolId() {
            return cognitoIdentityPoolId;
        }
    }

    private static final class Sent implements ClientContext {
        private final Client client;
        private final Map<String, String> custom;
        private final Map<String, String> env;

        Sent(Map<?, ?> members) {
            Object application = members.get("client");
            client = application instanceof Map ? new Application((Map<?, ?>) application) : null;
            custom = texts(members.get("custom"));
            env = texts(members.get("env"));
        }

        @Override
        public Client getClient() {
            return client;
        }

        @Override
        public Map<String, String> getCustom() {
            return custom == null ? null : Collections.unmodifiableMap(custom);
        }

        @Override
        public Map<String, String> getEnvironment() {
            return env == null ? null : Collections.unmodifiableMap(env);
        }
    }

    private static final class Application implements Client {
        private final String installation_id;
        private final String app_title;
        private final String app_version_name;
        private final String app_version_code;
        private final String app_package_name;

        Application(Map<?, ?> members) {
            installation_id = text(members, "installation_id");
            app_title = text(members, "app_title");
            app_version_name = text(members, "app_version_name");
            app_version_code = text(members, "app_version_code");
            app_package_name = text(members, "app_package_name");
        }

        @Override
        public String getInstallationId() {
            return installation_id;
        }

        @Override
        public String getAppTitle() {
            return app_title;
        }

        @Override
        public String getAppVersionName() {
            return app_version_name;
        }

        @Override
        public String getAppVersionCode() {
            return app_version_code;
        }

        @Override
        public String getAppPackageName() {
            return app_package_name;
        }
    }
}
