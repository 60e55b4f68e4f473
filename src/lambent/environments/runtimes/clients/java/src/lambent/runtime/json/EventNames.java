package lambent.runtime.json;

import java.util.HashMap;
import java.util.Map;

/**
 * Names of AWS's event classes in JSON where they are not those of their getters.
 *
 * <p>They hold below the event that a handler takes or returns, and dates are seconds there. Source: what AWS's runtime
 * reads and writes for the classes of aws-lambda-java-events.
 */
final class EventNames {
    private static final String EVENTS = "com.amazonaws.services.lambda.runtime.events.";
    private static final String[] ATTRIBUTE = {
        "s", "S", "n", "N", "b", "B", "m", "M", "l", "L", "null", "NULL",
    };
    private static final String[] STREAM_RECORD = {
        "keys", "Keys", "sizeBytes", "SizeBytes", "sequenceNumber", "SequenceNumber",
        "streamViewType", "StreamViewType", "newImage", "NewImage", "oldImage", "OldImage",
        "approximateCreationDateTime", "ApproximateCreationDateTime",
    };
    private static final String[] RECORDS = {"records", "Records"};
    private static final String[] SOURCE = {"eventSourceArn", "eventSourceARN"};
    private static final String[] EVENT_CLASSES = {
        "APIGatewayProxyRequestEvent", "APIGatewayProxyResponseEvent", "CloudFormationCustomResourceEvent",
        "CloudFrontEvent", "CloudWatchLogsEvent", "CodeCommitEvent", "CognitoEvent", "ConfigEvent", "ConnectEvent",
        "DynamodbEvent", "DynamodbTimeWindowEvent", "IoTButtonEvent", "KinesisEvent", "KinesisTimeWindowEvent",
        "KinesisFirehoseEvent", "LambdaDestinationEvent", "LexEvent", "ScheduledEvent", "SecretsManagerRotationEvent",
        "SNSEvent", "SQSEvent",
    };

    static final EventNames NONE = new EventNames(new HashMap<>(), false, false);

    private final Map<String, String[]> renamed;
    private final boolean isCapital;
    final boolean isEvent;

    private EventNames(Map<String, String[]> renamed, boolean isCapital, boolean isEvent) {
        this.renamed = renamed;
        this.isCapital = isCapital;
        this.isEvent = isEvent;
    }

    /** Return the names that hold below a root of this class. */
    static EventNames below(Class<?> root) {
        String name = root.getName();
        if (!name.startsWith(EVENTS)) return NONE;
        String event = name.substring(EVENTS.length());
        for (String each : EVENT_CLASSES) {
            if (each.equals(event)) return new EventNames(table(), event.equals("SNSEvent"), true);
        }
        return NONE;
    }

    /** Return a property's name where it has none of its own. */
    String nameOf(String property) {
        return isCapital ? capital(property) : property;
    }

    /** Return the name that a property of a class has of its own, or null. */
    String ownNameOf(Class<?> type, String property) {
        if (!isEvent) return null;
        for (Class<?> each = type; each != null; each = each.getSuperclass()) {
            String[] pairs = renamed.get(each.getName());
            if (pairs == null) continue;
            for (int index = 0; index < pairs.length; index += 2) {
                if (pairs[index].equals(property)) return pairs[index + 1];
            }
        }
        return null;
    }

    private static String capital(String property) {
        return Character.toUpperCase(property.charAt(0)) + property.substring(1);
    }

    private static Map<String, String[]> table() {
        Map<String, String[]> table = new HashMap<>();
        for (String each : new String[] {"CloudFrontEvent", "CodeCommitEvent", "DynamodbEvent", "KinesisEvent",
            "SNSEvent", "SQSEvent"}) {
            table.put(EVENTS + each, RECORDS);
        }
        table.put(EVENTS + "DynamodbTimeWindowEvent", SOURCE);
        table.put(EVENTS + "KinesisTimeWindowEvent", SOURCE);
        table.put(EVENTS + "DynamodbEvent$DynamodbStreamRecord", new String[] {"eventName", "eventName",
            "eventSourceArn", "eventSourceARN"});
        table.put(EVENTS + "KinesisEvent$Record", new String[] {"encryptionType", "encryptionType"});
        table.put(EVENTS + "SQSEvent$SQSMessage", SOURCE);
        table.put(EVENTS + "SNSEvent$SNSRecord", new String[] {"SNS", "Sns", "sns", "Sns"});
        table.put(EVENTS + "CodeCommitEvent$Record", new String[] {"codeCommit", "codecommit", "eventSourceArn",
            "eventSourceARN", "userIdentityArn", "userIdentityARN"});
        table.put(EVENTS + "CloudWatchLogsEvent", new String[] {"awsLogs", "awslogs"});
        table.put(EVENTS + "ScheduledEvent", new String[] {"detailType", "detail-type"});
        table.put(EVENTS + "SecretsManagerRotationEvent",
                capitals("step", "secretId", "clientRequestToken", "rotationToken"));
        String[] resource = capitals("requestType", "serviceToken", "physicalResourceId", "responseUrl", "stackId",
                "requestId", "logicalResourceId", "resourceType", "resourceProperties", "oldResourceProperties");
        resource[7] = "ResponseURL";
        table.put(EVENTS + "CloudFormationCustomResourceEvent", resource);
        table.put(EVENTS + "ConnectEvent", capitals("details", "name"));
        table.put(EVENTS + "ConnectEvent$Details", capitals("contactData", "parameters"));
        String[] contact = capitals("attributes", "channel", "contactId", "customerEndpoint", "initialContactId",
                "initiationMethod", "instanceArn", "previousContactId", "queue", "systemEndpoint");
        contact[13] = "InstanceARN";
        table.put(EVENTS + "ConnectEvent$ContactData", contact);
        table.put(EVENTS + "ConnectEvent$CustomerEndpoint", capitals("address", "type"));
        table.put(EVENTS + "ConnectEvent$SystemEndpoint", capitals("address", "type"));
        table.put(EVENTS + "ConnectEvent$Queue", capitals("name"));
        for (String models : new String[] {EVENTS + "models.dynamodb.", "com.amazonaws.services.dynamodbv2.model."}) {
            table.put(models + "AttributeValue", ATTRIBUTE);
            table.put(models + "StreamRecord", STREAM_RECORD);
        }
        return table;
    }

    private static String[] capitals(String... properties) {
        String[] pairs = new String[properties.length * 2];
        for (int index = 0; index < properties.length; index++) {
            pairs[index * 2] = properties[index];
            pairs[index * 2 + 1] = capital(properties[index]);
        }
        return pairs;
    }
}
