"""Extensions and what speaks to them that nobody here wrote, unchanged from their registries."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests import registries
from tests.running import create_function, invoke, make_zip_bytes
from tests.scenario.extending import call, layer, said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import LambentServer

# Compilers and registries take their time.
pytestmark = [pytest.mark.long, pytest.mark.timeout(registries.SECONDS_MAX)]

_ROLE = "arn:aws:iam::000000000000:role/test"
# A stand-in for a collector: what is sent to the usual OTLP port inside is noted.
COLLECTOR = """
register("INVOKE", "SHUTDOWN")
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        note("spans", self.path)
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("localhost", 4318), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
run()
"""


def tree_layer(client: Any, name: str, source: Path, inside: str) -> str:
    """Publish a directory as a layer, at `inside` below /opt."""
    files: dict[str, tuple[str | bytes, int]] = {}
    for directory, _, names in os.walk(source):
        for file in names:
            path = os.path.join(directory, file)
            if file != "installed.json" and not os.path.islink(path):
                with open(path, "rb") as content:
                    files[f"{inside}/{os.path.relpath(path, source)}"] = (content.read(), 0o755)
    content_ = {"ZipFile": make_zip_bytes(files)}
    return str(client.publish_layer_version(LayerName=name, Content=content_)["LayerVersionArn"])


def test_powertools_for_python(lambda_client: Any, lambent_server: LambentServer) -> None:
    packages = registries.pip_packages("powertools-python", "aws-lambda-powertools==3.22.0")
    arn = tree_layer(lambda_client, "powertools-python", packages, "python")
    code = (
        "from aws_lambda_powertools import Logger, Metrics\n"
        "from aws_lambda_powertools.metrics import MetricUnit\n"
        "from aws_lambda_powertools.event_handler import APIGatewayHttpResolver\n"
        "logger = Logger(service='shop')\nmetrics = Metrics(namespace='Shop', service='shop')\n"
        "app = APIGatewayHttpResolver()\n"
        "@app.get('/hello')\ndef hello():\n    return {'said': 'hello'}\n"
        "@metrics.log_metrics(capture_cold_start_metric=True)\n"
        "@logger.inject_lambda_context\n"
        "def handler(event, context):\n"
        "    metrics.add_metric(name='Orders', unit=MetricUnit.Count, value=1)\n"
        "    logger.info('in handler')\n"
        "    return app.resolve(event, context)\n"
    )
    create_function(lambda_client, "powered", {"index.py": code}, Layers=[arn], Timeout=20, MemorySize=256)
    event = {
        "version": "2.0",
        "rawPath": "/hello",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/hello"}, "stage": "$default"},
    }
    assert json.loads(invoke(lambda_client, "powered", event)["body"]) == {"said": "hello"}
    log = said(lambent_server, "powered", "\nREPORT")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    line = next(line for line in lines if line.get("message") == "in handler")
    assert (line["service"], line["cold_start"], line["function_name"]) == ("shop", True, "powered")
    assert line["function_request_id"] in log
    assert any("ColdStart" in found for found in lines)
    assert any(found.get("Orders") == [1.0] for found in lines)


def test_powertools_for_typescript(lambda_client: Any, lambent_server: LambentServer) -> None:
    names = [f"@aws-lambda-powertools/{name}@2.28.1" for name in ("logger", "metrics")]
    packages = registries.npm_packages("powertools-typescript", *names)
    arn = tree_layer(lambda_client, "powertools-typescript", packages, "nodejs")
    code = (
        "const { Logger } = require('@aws-lambda-powertools/logger');\n"
        "const { Metrics, MetricUnit } = require('@aws-lambda-powertools/metrics');\n"
        "const logger = new Logger({ serviceName: 'shop' });\n"
        "const metrics = new Metrics({ namespace: 'Shop', serviceName: 'shop' });\n"
        "exports.handler = async (event, context) => {\n"
        "  logger.addContext(context);\n"
        "  logger.info('in handler');\n"
        "  metrics.addMetric('Orders', MetricUnit.Count, 1);\n"
        "  metrics.publishStoredMetrics();\n"
        "  return 'ok';\n};\n"
    )
    members = {"Runtime": "nodejs20.x", "Layers": [arn], "Timeout": 20, "MemorySize": 256}
    create_function(lambda_client, "powered-ts", {"index.js": code}, **members)
    assert invoke(lambda_client, "powered-ts", {}) == "ok"
    log = said(lambent_server, "powered-ts", "\nREPORT")
    lines = [json.loads(line[line.index("{") :]) for line in log.splitlines() if line.rstrip().endswith("}")]
    line = next(line for line in lines if line.get("message") == "in handler")
    assert (line["service"], line["cold_start"], line["function_name"]) == ("shop", True, "powered-ts")
    assert any(found.get("Orders") == 1 for found in lines)


def test_opentelemetry_for_python_sends_to_a_collector_beside_it(lambda_client: Any) -> None:
    packages = registries.pip_packages(
        "opentelemetry-python",
        "opentelemetry-sdk==1.39.0",
        "opentelemetry-exporter-otlp-proto-http==1.39.0",
        "opentelemetry-instrumentation-aws-lambda==0.60b0",
    )
    arn = tree_layer(lambda_client, "opentelemetry-python", packages, "python")
    collector = layer(lambda_client, "collector-python", {"collector": COLLECTOR})
    code = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
        "from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))\n"
        "trace.set_tracer_provider(provider)\n"
        "def handler(event, context):\n"
        "    try:\n        return open('/tmp/spans').read().splitlines()\n"
        "    except FileNotFoundError:\n        return []\n"
        "AwsLambdaInstrumentor().instrument()\n"
    )
    members = {"Layers": [arn, collector], "Timeout": 30, "MemorySize": 256}
    create_function(lambda_client, "traced", {"index.py": code}, **members)
    assert call(lambda_client, "traced") == ([], None)
    # The instrumentation sends its spans before the answer leaves.
    assert invoke(lambda_client, "traced", {})[0] == "/v1/traces"


def test_opentelemetry_for_node_sends_to_a_collector_beside_it(lambda_client: Any) -> None:
    packages = registries.npm_packages(
        "opentelemetry-node",
        "@opentelemetry/sdk-trace-node@2.2.0",
        "@opentelemetry/exporter-trace-otlp-http@0.208.0",
        "@opentelemetry/instrumentation@0.208.0",
        "@opentelemetry/instrumentation-aws-lambda@0.61.0",
    )
    arn = tree_layer(lambda_client, "opentelemetry-node", packages, "nodejs")
    collector = layer(lambda_client, "collector-node", {"collector": COLLECTOR})
    setup = (
        "const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');\n"
        "const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');\n"
        "const { registerInstrumentations } = require('@opentelemetry/instrumentation');\n"
        "const { AwsLambdaInstrumentation } = require('@opentelemetry/instrumentation-aws-lambda');\n"
        "const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:4318/v1/traces' });\n"
        "const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });\n"
        "provider.register();\n"
        "registerInstrumentations({ tracerProvider: provider, instrumentations: [new AwsLambdaInstrumentation()] });\n"
    )
    code = (
        "exports.handler = async () => {\n"
        "  try { return require('fs').readFileSync('/tmp/spans', 'utf8').split('\\n'); } catch { return []; }\n};\n"
    )
    variables = {"Variables": {"NODE_OPTIONS": "--require /var/task/setup.js"}}
    members = {"Runtime": "nodejs20.x", "Layers": [arn, collector], "Timeout": 30, "MemorySize": 256}
    files = {"index.js": code, "setup.js": setup}
    create_function(lambda_client, "traced-node", files, Environment=variables, **members)
    assert call(lambda_client, "traced-node") == ([], None)
    assert invoke(lambda_client, "traced-node", {})[0] == "/v1/traces"


def test_the_official_rust_crate_for_extensions(lambda_client: Any, lambent_server: LambentServer) -> None:
    manifest = (
        '[package]\nname = "rusty"\nversion = "0.1.0"\nedition = "2021"\n'
        '[dependencies]\nlambda-extension = "=1.1.1"\ntokio = { version = "1", features = ["macros", "rt"] }\n'
    )
    source = """
use lambda_extension::{service_fn, Error, Extension, LambdaEvent, LambdaTelemetry, LambdaTelemetryRecord, NextEvent};
use lambda_extension::SharedService;

async fn events(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Shutdown(event) => println!("rusty shutdown {}", event.shutdown_reason),
        NextEvent::Invoke(event) => println!("rusty invoke {}", event.request_id),
    }
    Ok(())
}

async fn telemetry(events: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for event in events {
        match event.record {
            LambdaTelemetryRecord::PlatformInitStart { .. } => println!("rusty initStart"),
            LambdaTelemetryRecord::PlatformInitReport { .. } => println!("rusty initReport"),
            LambdaTelemetryRecord::PlatformStart { .. } => println!("rusty start"),
            LambdaTelemetryRecord::PlatformRuntimeDone { .. } => println!("rusty runtimeDone"),
            LambdaTelemetryRecord::PlatformReport { .. } => println!("rusty report"),
            LambdaTelemetryRecord::Function(line) => println!("rusty function {}", line.trim()),
            _ => (),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events_processor(service_fn(events))
        .with_telemetry_types(&["platform", "function"])
        .with_telemetry_processor(SharedService::new(service_fn(telemetry)))
        .run()
        .await
}
"""
    program = registries.cargo_project("rusty", manifest, source)
    arn = layer(lambda_client, "rusty", {"rusty": (program.read_bytes(), 0o755)})
    code = "def handler(event, context):\n    print('from the function')\n    return 1\n"
    create_function(lambda_client, "beside-rust", {"index.py": code}, Layers=[arn], Timeout=20)
    for _ in range(2):
        assert call(lambda_client, "beside-rust") == (1, None)
    for word in ("initStart", "initReport", "start", "runtimeDone", "report", "function from the function", "invoke"):
        said(lambent_server, "beside-rust", f"rusty {word}")
    assert "State: Subscribed\tTypes: [Platform, Function]" in said(
        lambent_server, "beside-rust", "TELEMETRY\tName: rusty"
    )


def test_the_lambda_web_adapter(lambda_client: Any) -> None:
    program = registries.cargo_program("lambda_web_adapter", "1.0.0-rc1")
    (adapter,) = [path for path in program.iterdir() if path.is_file()]
    arn = layer(lambda_client, "adapter", {"lambda-adapter": (adapter.read_bytes(), 0o755)})
    server = (
        "#!/usr/bin/env python3\nimport http.server\n"
        "class Server(http.server.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def do_GET(self):\n"
        "        body = ('got ' + self.path).encode()\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(body)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', 8080), Server).serve_forever()\n"
    )
    request = {"Role": _ROLE, "Runtime": "provided.al2023", "Handler": "any", "Timeout": 20}
    code = {"ZipFile": make_zip_bytes({"bootstrap": (server, 0o755)})}
    lambda_client.create_function(FunctionName="web", Code=code, Layers=[arn], **request)
    lambda_client.get_waiter("function_active_v2").wait(FunctionName="web")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a/b",
        "rawQueryString": "c=d",
        "headers": {"host": "x"},
        "requestContext": {
            "accountId": "0",
            "apiId": "a",
            "domainName": "x",
            "domainPrefix": "x",
            "http": {"method": "GET", "path": "/a/b", "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "t"},
            "requestId": "r",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1,
        },
        "isBase64Encoded": False,
    }
    for _ in range(2):
        answer = invoke(lambda_client, "web", event)
        assert (answer["statusCode"], answer["body"]) == (200, "got /a/b?c=d")
