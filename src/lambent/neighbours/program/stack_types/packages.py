"""Code that stands in a template (`ZipFile`) as the package that AWS makes of it."""

from __future__ import annotations

import base64
import io
import re
import zipfile

_MODULE = re.compile(r"^\s*(?:export|import)\s+[\w{*\"']", re.MULTILINE)
# The same text is the same package.
_WRITTEN = (1980, 1, 1, 0, 0, 0)

# Source: Lambda developer guide and CloudFormation user guide, "cfn-response module": its function and arguments.
_PYTHON_RESPONSE = '''"""Sends the response of a custom resource."""

import json
import urllib.request

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False, reason=None):
    body = json.dumps({
        "Status": responseStatus,
        "Reason": reason or f"See the details in CloudWatch Log Stream: {context.log_stream_name}",
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT", headers={"content-type": ""})
    try:
        with urllib.request.urlopen(request) as response:
            print("Status code:", response.status)
    except Exception as error:
        print("send(..) failed executing http.request(..):", error)
'''
_NODE_RESPONSE = """exports.SUCCESS = 'SUCCESS';
exports.FAILED = 'FAILED';

exports.send = function (event, context, responseStatus, responseData, physicalResourceId, noEcho) {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({
      Status: responseStatus,
      Reason: 'See the details in CloudWatch Log Stream: ' + context.logStreamName,
      PhysicalResourceId: physicalResourceId || context.logStreamName,
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
      NoEcho: noEcho || false,
      Data: responseData,
    });
    const url = new URL(event.ResponseURL);
    const headers = { 'content-type': '', 'content-length': Buffer.byteLength(body) };
    const http = require(url.protocol === 'http:' ? 'http' : 'https');
    const request = http.request(url, { method: 'PUT', headers }, (response) => {
      response.resume();
      console.log('Status code: ' + response.statusCode);
      response.on('end', () => { resolve(context.done && context.done()); });
    });
    request.on('error', (error) => {
      console.log('send(..) failed executing http.request(..): ' + error);
      reject(context.done ? context.done(error) : error);
    });
    request.end(body);
  });
};
"""


def inline_package(source: str, runtime: str) -> str:
    """Return a package with this source as its `index`, in base64, with the module for custom resources it may use."""
    is_node = runtime.startswith("nodejs")
    if is_node:
        name = "index.mjs" if _MODULE.search(source) and "require(" not in source else "index.js"
    else:
        name = "index.py"
    files = {name: source}
    if is_node and "cfn-response" in source:
        files["node_modules/cfn-response/index.js"] = _NODE_RESPONSE
    elif not is_node and "cfnresponse" in source:
        files["cfnresponse.py"] = _PYTHON_RESPONSE
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, _WRITTEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return base64.b64encode(buffer.getvalue()).decode()
