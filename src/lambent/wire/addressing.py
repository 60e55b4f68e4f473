"""Which of AWS's services a request means: by its signature's scope, its target, its host, its path."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

LAMBDA = "lambda"

# Name of the service on AWS's command line : names in credential scopes and hosts, where they are others : beginning of
# X-Amz-Target. What shares a scope shares a name, because a request does not say more. Source: botocore's descriptions.
_ROWS = """
account; acm::CertificateManager; apigateway:execute-api; appconfig:appconfigdata; appsync:appsync-api,
appsync-realtime-api; athena::AmazonAthena; autoscaling; backup; batch; bedrock:bedrock-runtime, bedrock-agent,
bedrock-agent-runtime; bedrock-agentcore; budgets::AWSBudgetServiceGateway;
cloudcontrol:cloudcontrolapi:CloudApiService; cloudformation; cloudfront; cloudfront-keyvaluestore:cloudfront-kvs;
cloudtrail::com.amazonaws.cloudtrail; cloudwatch:monitoring:GraniteServiceVersion20100801;
codebuild::CodeBuild_20161006; codecommit::CodeCommit_20150413; codedeploy::CodeDeploy_20141006;
cognito-identity::AWSCognitoIdentityService;
cognito-idp::AWSCognitoIdentityProviderService; config::StarlingDoveService; cur::AWSOrigamiServiceGatewayService;
dsql; dynamodb::DynamoDB_20120810; dynamodbstreams::DynamoDBStreams_20120810; ec2;
ecr:api.ecr:AmazonEC2ContainerRegistry_V20150921; ecs::AmazonEC2ContainerServiceV20141113; efs:elasticfilesystem; eks;
elasticache; elbv2:elasticloadbalancing, elb; emr:elasticmapreduce:ElasticMapReduce; events::AWSEvents,
AmazonEventBridge; firehose:kinesis-firehose:Firehose_20150804; glue::AWSGlue; iam; inspector2; iot; iot-data:iotdata,
data-ats.iot, data.iot; iot-jobs-data:data.jobs.iot, jobs.iot; iotwireless; kafka; kinesis::Kinesis_20131202;
kinesisanalyticsv2:kinesisanalytics:KinesisAnalytics_20180523; kms::TrentService; location:geo; logs::Logs_20140328;
mediaconnect; mq; mwaa:airflow; opensearch:es; opensearchserverless:aoss:OpenSearchServerless;
organizations::AWSOrganizationsV20161128; pipes; rds:docdb; rds-data; resource-groups;
resourcegroupstaggingapi:tagging:ResourceGroupsTaggingAPI_20170126; route53; s3:s3-control, s3express,
s3-object-lambda, s3-outposts; s3files; s3tables; scheduler; secretsmanager::secretsmanager;
servicediscovery::Route53AutoNaming_v20170314; ses:email; signer; sns::AmazonSNS; sqs:queue:AmazonSQS; ssm::AmazonSSM;
stepfunctions:states:AWSStepFunctions; sts::AWSSecurityTokenService; transcribe::Transcribe;
transfer::TransferService; translate::AWSShineFrontendService; waf::AWSWAF_20150824;
waf-regional::AWSWAF_Regional_20161128; wafv2::AWSWAF_20190729
"""


def _parsed() -> tuple[tuple[str, ...], dict[str, str], dict[str, str]]:
    names: list[str] = []
    scopes: dict[str, str] = {}
    targets: dict[str, str] = {}
    for row in "".join(_ROWS.split()).split(";"):
        name, _, rest = row.partition(":")
        others, _, starts = rest.partition(":")
        names.append(name)
        scopes |= {scope: name for scope in (name, *others.split(",")) if scope}
        targets |= {start: name for start in starts.split(",") if start}
    return tuple(names), scopes, targets


NEIGHBOURS, _SCOPES, _TARGETS = _parsed()
# Front doors of functions: ours, whatever else the host says.
_OWN_LABELS = frozenset({"lambda", "lambda-url"})
# Data planes and development's back doors that nobody signs.
_OPEN_PATHS = (
    ("/oauth2/", "cognito-idp"),
    ("/restapis/", "apigateway"),
    ("/_aws/execute-api/", "apigateway"),
    ("/_aws/sqs/", "sqs"),
    ("/_aws/ses", "ses"),
    ("/_aws/sns/", "sns"),
)
_ISSUER_ENDS = ("/.well-known/jwks.json", "/.well-known/openid-configuration")
_SERVED = (".localhost", ".amazonaws.com", ".amazonaws.com.cn")
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
# What has addresses of its own there, by which no API is called: databases, machines, load balancers, brokers.
_RESOURCES = frozenset(
    {"cache", "compute", "compute-1", "dax-clusters", "docdb", "efs", "eks", "elb", "es", "kafka", "kafka-serverless"}
    | {"memorydb", "mq", "neptune", "rds", "redshift", "redshift-serverless"}
)
_LOOK_UPS = frozenset({"checkip", "ip-ranges"})


def asked_for(method: str, target: str, headers: Mapping[str, str]) -> str | None:
    """Return the service a request means, by its name on AWS's command line; None when nothing says so.

    A scope that no row knows is returned as it stands. Header names are lower case. Decided without the body; of paths
    only those count that clients call without a signature.
    """
    scope = _scope(target, headers)
    prefix = headers.get("x-amz-target")
    if prefix is not None and scope != LAMBDA:
        named = _of_target(prefix)
        if named is not None:
            return named
    if scope:
        return LAMBDA if scope == LAMBDA else _SCOPES.get(scope, scope)
    named = _of_host(headers.get("host", ""))
    if named is not None:
        return named
    query = target.partition("?")[2]
    if headers.get("authorization", "").startswith("AWS ") or "AWSAccessKeyId=" in query:
        return "s3"  # Signature version 2, which only S3 still has.
    if "Action=AssumeRoleWith" in query or (
        method == "POST" and headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    ):
        return "sts"  # AssumeRoleWithWebIdentity and …SAML are not signed.
    return _of_path(target.partition("?")[0])


def is_api_host(name: str) -> bool:
    """Whether a name is one of AWS's by which an API is called: below amazonaws.com, and no resource's own address.

    A resource is named before what it is: `db.c9.us-east-1.rds.amazonaws.com`, `b-1.m.kafka.us-east-1.amazonaws.com`.
    Source: the addresses in the services' user guides.
    """
    lowered = name.lower()
    suffix = next((end for end in _AWS if lowered.endswith(end)), None)
    if suffix is None:
        return False
    labels = lowered.removesuffix(suffix).split(".")
    if len(labels) == 1:
        return labels[0] not in _LOOK_UPS
    # The region may come last, or before the kind of thing; a bucket may be called anything.
    is_region = labels[-1][-1:].isdigit() and not labels[-1].startswith("s3")
    return labels[-1] not in _RESOURCES and not (len(labels) > 2 and is_region and labels[-2] in _RESOURCES)


def bucket_of_host(host: str) -> str | None:
    """Return the bucket of S3's virtual-hosted style (`bucket.s3.localhost`, `bucket.s3.REGION.amazonaws.com`)."""
    name = _name(host)
    for mark in (".s3.", ".s3-"):
        bucket, found, rest = name.partition(mark)
        if found and bucket and f".{rest}".endswith(_SERVED):
            return bucket
    return None


def api_of_host(host: str) -> str | None:
    """Return the API whose address a host is: `ID.execute-api.REGION.amazonaws.com`, or below a name of this machine.

    None below localhost: that is the address as the embedded services give it.
    """
    name = _name(host)
    identifier, found, rest = name.partition(".execute-api.")
    return identifier if found and "." not in identifier and rest != "localhost" else None


def _scope(target: str, headers: Mapping[str, str]) -> str:
    """Return the name in the signature's credential scope, as sent."""
    authorization = headers.get("authorization")
    if authorization is not None:
        credential = authorization.partition("Credential=")[2].partition(",")[0]
    else:
        credential = unquote(target.partition("X-Amz-Credential=")[2].partition("&")[0])
    parts = credential.split("/")
    return parts[3] if len(parts) == 5 else ""


def _of_target(target: str) -> str | None:
    start = target.rpartition(".")[0]
    named = _TARGETS.get(start)
    if named is not None:
        return named
    return next((name for known, name in _TARGETS.items() if target.startswith(known)), None)


def _of_path(path: str) -> str | None:
    if path.endswith(_ISSUER_ENDS):
        return "cognito-idp"
    return next((name for start, name in _OPEN_PATHS if path.startswith(start)), None)


def _of_host(host: str) -> str | None:
    name = _name(host)
    suffix = next((end for end in _SERVED if name.endswith(end)), None)
    if suffix is None:
        return None
    labels = name.removesuffix(suffix).split(".")
    if not _OWN_LABELS.isdisjoint(labels):
        return LAMBDA
    if "s3" in labels or any(label.startswith("s3-") for label in labels):
        return "s3"
    if labels[0] == "streams" and "dynamodb" in labels:
        return "dynamodbstreams"
    for first in range(len(labels)):
        for last in (first + 2, first + 1):
            named = _SCOPES.get(".".join(labels[first:last]))
            if named is not None:
                return named
    return None


def _name(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
