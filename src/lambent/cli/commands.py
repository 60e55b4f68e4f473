"""The table of commands and their arguments; each command's work is in a file of its own."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from typing import TYPE_CHECKING

from lambent.cli.failure import CommandError
from lambent.settings import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_STATUS = 2
FAILED_STATUS = 1


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; return the exit status: 0 done, 1 refused or failed, 2 wrong usage or setting."""
    parsed = parser().parse_args(arguments)
    try:
        return _run(parsed)
    except SettingError as error:
        print(f"lambent: {error}", file=sys.stderr)
        return USAGE_STATUS
    except CommandError as error:
        print(f"lambent: {error}", file=sys.stderr)
        return FAILED_STATUS
    except BrokenPipeError:
        # The reader of our output went away (`lambent logs NAME | head`); there is nobody to tell.
        sys.stderr.close()
        return FAILED_STATUS
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of every command; docs/commands.md is held against it by a test."""
    top = argparse.ArgumentParser(prog="lambent", description="An open, self-hosted AWS Lambda.")
    version = importlib.metadata.version("lambent")
    top.add_argument("--version", action="version", version=f"lambent {version}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the server until SIGTERM"))
    doctor = commands.add_parser("doctor", help="say what this machine can run, and why not more")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    _add_setting_options(doctor)
    _add_keys(commands.add_parser("keys", help="access keys of this installation"))
    logs = commands.add_parser("logs", help="print a function's log")
    logs.add_argument("name", metavar="NAME", help="the function's name")
    logs.add_argument("--follow", action="store_true", help="go on printing lines as they are written")
    logs.add_argument("--since", metavar="TIME", help="30s, 10m, 2h, 7d, Unix milliseconds or an ISO time")
    _add_client_options(logs)
    _add_invoke(commands.add_parser("invoke", help="invoke a function with an event, a sample of any source if wanted"))
    _add_events(commands.add_parser("events", help="asynchronous events that wait on the server"))
    _add_images(commands.add_parser("images", help="container images on the server"))
    _add_runtimes(commands.add_parser("runtimes", help="what runs which runtime; roots from images"))
    _add_deploy(commands.add_parser("deploy", help="bring a stack to what a template says"))
    _add_codecommit(commands.add_parser("codecommit", help="git repositories whose pushes call functions"))
    _add_alexa(commands.add_parser("alexa", help="requests of skills, as Alexa sends them"))
    _add_quotas(commands.add_parser("quotas", help="quotas of the caller's account and region"))
    return top


def settings_flags(parsed: argparse.Namespace) -> dict[str, str]:
    """Return dotted setting name → text, as the flags of serve, doctor and keys say; the last one wins.

    Raises:
        SettingError: a `--set` has no equals sign.
    """
    flags: dict[str, str] = {}
    for name, option in _SHORT_OPTIONS.items():
        value = getattr(parsed, option, None)
        if value is not None and value is not False:
            flags[name] = "true" if value is True else str(value)
    if getattr(parsed, "no_neighbours", False):
        flags["neighbours.enabled"] = "false"
    for assignment in parsed.assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SettingError(f"--set takes name=value, not {assignment!r}.")
        flags[name.strip()] = text
    return flags


# Setting → option of its own, for the settings that people type every day.
_SHORT_OPTIONS = {
    "server.host": "host",
    "server.port": "port",
    "data_dir": "data_dir",
    "server.tls_cert": "tls_cert",
    "server.tls_key": "tls_key",
    "server.insecure": "insecure",
    "server.log_level": "log_level",
}


def _run(parsed: argparse.Namespace) -> int:
    # Imported when needed: `lambent --version` and `lambent logs` do not pay for the server.
    if parsed.command == "logs":
        from lambent.cli.logs import print_logs

        return print_logs(parsed)
    if parsed.command == "quotas":
        from lambent.cli.quotas import run_quotas

        return run_quotas(parsed)
    if parsed.command == "events":
        from lambent.cli.events import run_events

        return run_events(parsed)
    if parsed.command == "invoke":
        from lambent.cli.invoke import run_invoke

        return run_invoke(parsed)
    if parsed.command == "deploy":
        from lambent.cli.deployment import run_deploy

        return run_deploy(parsed)
    if parsed.command == "codecommit":
        from lambent.cli.callers.code_commit import run_codecommit

        return run_codecommit(parsed)
    if parsed.command == "alexa":
        from lambent.cli.callers.alexa import run_alexa

        return run_alexa(parsed)
    if parsed.command == "images":
        from lambent.cli.images import run_images

        return run_images(parsed)
    if parsed.command == "runtimes":
        from lambent.cli.runtimes import run_runtimes

        return run_runtimes(parsed)
    if parsed.command == "keys":
        from lambent.cli.keys import run_keys

        return run_keys(parsed, settings_flags(parsed))
    if parsed.command == "doctor":
        from lambent.cli.doctor import run_doctor

        return run_doctor(parsed, settings_flags(parsed))
    from lambent.cli.serve import run_serve

    return run_serve(parsed, settings_flags(parsed))


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--host", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", metavar="PORT", help="port to listen on (4566)")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate chain in PEM")
    serve.add_argument("--tls-key", metavar="FILE", help="its private key in PEM")
    serve.add_argument("--insecure", action="store_true", help="listen beyond loopback although that is unsafe")
    serve.add_argument("--no-neighbours", action="store_true", help="no embedded services beside Lambda")
    serve.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    _add_setting_options(serve)


def _add_keys(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make an access key and print it as JSON")
    create.add_argument("--account", metavar="ID", help="its account, 12 digits (else account.default_id)")
    _add_setting_options(create)
    _add_setting_options(actions.add_parser("list", help="print the access keys, without secrets, as JSON"))
    revoke = actions.add_parser("revoke", help="remove an access key")
    revoke.add_argument("access_key_id", metavar="ACCESS_KEY_ID")
    _add_setting_options(revoke)


def _add_images(images: argparse.ArgumentParser) -> None:
    actions = images.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="print every image that is unpacked there")
    listing.add_argument("--json", action="store_true", help="print a JSON list")
    _add_client_options(listing)
    importing = actions.add_parser("import", help="bring an image there without any registry")
    importing.add_argument("file", metavar="FILE", help="an OCI layout or archive, or what `docker save` wrote")
    importing.add_argument("--name", metavar="REFERENCE", help="what functions call it (else what the file says)")
    _add_client_options(importing)
    removing = actions.add_parser("remove", help="take the name of an imported image away")
    removing.add_argument("reference", metavar="REFERENCE")
    _add_client_options(removing)


def _add_runtimes(runtimes: argparse.ArgumentParser) -> None:
    actions = runtimes.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="print what runs each runtime")
    listing.add_argument("--json", action="store_true", help="print a JSON list")
    _add_client_options(listing)
    for action, text in (("install", "make an image the root of a runtime"), ("upgrade", "give a root's newer build")):
        command = actions.add_parser(action, help=text)
        command.add_argument("runtime", metavar="RUNTIME", help="an identifier of AWS's, e.g. python3.12")
        command.add_argument("--image", metavar="REFERENCE", help="from a registry or imported (else AWS's base image)")
        command.add_argument("--archive", metavar="FILE", help="from an OCI archive or what `docker save` wrote")
        command.add_argument("--layout", metavar="DIRECTORY", help="from an OCI layout")
        if action == "install":
            command.add_argument("--host", action="store_true", help="what this machine has, as found at start")
        _add_client_options(command)
    removing = actions.add_parser("remove", help="take a root away; its functions run on what is left")
    removing.add_argument("runtime", metavar="RUNTIME")
    removing.add_argument("--digest", metavar="DIGEST", help="one build only")
    _add_client_options(removing)


def _add_invoke(invoke: argparse.ArgumentParser) -> None:
    invoke.add_argument("function", metavar="FUNCTION", nargs="?", help="name or ARN")
    invoke.add_argument("--event", metavar="EVENT", default="{}", help="JSON, @FILE, - (standard input) or sample:NAME")
    invoke.add_argument(
        "--with", dest="told", metavar="NAME=VALUE", action="append", default=[],
        help="a field of the sample, or what stands at a path such as Records.0.eventName; repeatable",
    )  # fmt: skip
    invoke.add_argument("--qualifier", metavar="NAME", help="a version or an alias")
    invoke.add_argument("--async", dest="asynchronous", action="store_true", help="queue it; print its request id")
    invoke.add_argument("--tail", action="store_true", help="print the end of its log too, on standard error")
    invoke.add_argument("--print-event", action="store_true", help="print the event and call nothing")
    invoke.add_argument("--list-samples", action="store_true", help="print the samples and their fields")
    _add_client_options(invoke)


def _add_events(events: argparse.ArgumentParser) -> None:
    actions = events.add_subparsers(dest="action", required=True, metavar="ACTION")
    queues = actions.add_parser("queues", help="print how many events wait for each function, and for how long")
    queues.add_argument("--json", action="store_true", help="print a JSON list")
    peek = actions.add_parser("peek", help="print a function's next events, a JSON object each; nothing changes")
    peek.add_argument("function", metavar="FUNCTION")
    peek.add_argument("--limit", type=int, default=10, metavar="NUMBER", help="how many, at most 100")
    redrive = actions.add_parser("redrive", help="bring messages of a dead-letter queue back; print how many")
    redrive.add_argument("queue", metavar="QUEUE_ARN")
    redrive.add_argument("--function", metavar="FUNCTION", help="whose events they are, where messages do not say so")
    redrive.add_argument("--limit", type=int, default=1_000, metavar="NUMBER", help="how many at most")
    drop = actions.add_parser("drop", help="drop a function's events that are not in flight; print how many")
    drop.add_argument("function", metavar="FUNCTION")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    sources = actions.add_parser("sources", help="print the figures of event source mappings since the start")
    sources.add_argument("--json", action="store_true", help="print a JSON object, by UUID")
    for command in (queues, peek, redrive, drop, sources):
        _add_client_options(command)


def _add_deploy(deploy: argparse.ArgumentParser) -> None:
    deploy.add_argument("template", metavar="TEMPLATE", nargs="?", help="a file, or a folder that has template.yaml")
    deploy.add_argument("--stack-name", metavar="NAME", help="the stack (else the name of the template's folder)")
    deploy.add_argument("--parameter-overrides", metavar="NAME=VALUE", nargs="+", help="values of parameters")
    deploy.add_argument("--tags", metavar="NAME=VALUE", nargs="+", help="tags of the stack and what it makes")
    deploy.add_argument("--s3-bucket", metavar="NAME", help="where packages go (else one is made)")
    deploy.add_argument("--preview", action="store_true", help="print what would change, and change nothing")
    deploy.add_argument("--yes", "--no-confirm", dest="yes", action="store_true", help="do not ask at a terminal")
    _add_client_options(deploy)


def _add_codecommit(codecommit: argparse.ArgumentParser) -> None:
    actions = codecommit.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a bare repository; print where it is, as JSON")
    create.add_argument("--description", metavar="TEXT", help="what it is for")
    listing = actions.add_parser("list", help="print the repositories and their triggers")
    listing.add_argument("--json", action="store_true", help="print a JSON list")
    deleting = actions.add_parser("delete", help="remove a repository with all that was pushed")
    trigger = actions.add_parser("trigger", help="let pushes call a function, or tell a topic; print all triggers")
    trigger.add_argument("--function", metavar="FUNCTION", help="name or ARN; it gets the permission too")
    trigger.add_argument("--topic", metavar="ARN", help="a topic of SNS")
    trigger.add_argument("--name", dest="trigger_name", metavar="NAME", help="the trigger's name (else the function's)")
    trigger.add_argument("--branch", metavar="NAME", action="append", default=[], help="only this branch; repeatable")
    trigger.add_argument(
        "--on", metavar="EVENT", action="append", default=[],
        help="updateReference, createReference or deleteReference; repeatable (else all)",
    )  # fmt: skip
    trigger.add_argument("--data", metavar="TEXT", help="what the event says as customData")
    trigger.add_argument("--remove", metavar="NAME", help="take the trigger of this name away")
    trigger.add_argument("--test", action="store_true", help="send every trigger a test event")
    for command in (create, deleting, trigger):
        command.add_argument("repository", metavar="NAME")
    for command in (create, listing, deleting, trigger):
        _add_client_options(command)


def _add_alexa(alexa: argparse.ArgumentParser) -> None:
    actions = alexa.add_subparsers(dest="action", required=True, metavar="ACTION")
    simulate = actions.add_parser("simulate", help="send a function what Alexa would; print speech and answer")
    simulate.add_argument(
        "intent", metavar="INTENT", nargs="?", help="an intent's name, LaunchRequest or SessionEndedRequest"
    )
    simulate.add_argument("--function", metavar="FUNCTION", help="name or ARN (else the only function there is)")
    simulate.add_argument(
        "--slot", metavar="NAME=VALUE", action="append", default=[], help="a slot of the intent; repeatable"
    )
    simulate.add_argument("--session", metavar="FILE", help="a conversation, kept in this file from call to call")
    simulate.add_argument("--skill", metavar="ID", default="amzn1.ask.skill.simulated", help="the skill's id")
    simulate.add_argument("--locale", metavar="LOCALE", default="en-US", help="who speaks (en-US)")
    simulate.add_argument("--directive", metavar="JSON", help="a smart home directive instead: JSON or @FILE")
    simulate.add_argument("--qualifier", metavar="NAME", help="a version or an alias")
    simulate.add_argument("--print-request", action="store_true", help="print the request and call nothing")
    _add_client_options(simulate)


def _add_quotas(quotas: argparse.ArgumentParser) -> None:
    actions = quotas.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="print every quota: what is in force, its default, soft or hard")
    listing.add_argument("--json", action="store_true", help="print a JSON list")
    _add_client_options(listing)
    setting = actions.add_parser("set", help="set a soft quota; it is in force at once")
    setting.add_argument("name", metavar="NAME")
    setting.add_argument("value", metavar="VALUE", help="a whole number, or the word default")
    _add_client_options(setting)


def _add_client_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--endpoint-url", metavar="URL", help="the server (else AWS_ENDPOINT_URL, http://127.0.0.1:4566)"
    )
    command.add_argument("--region", metavar="NAME", help="the region meant (else AWS_REGION, us-east-1)")


def _add_setting_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data-dir", metavar="DIRECTORY", help="where everything durable lives")
    command.add_argument("--config", metavar="FILE", help="settings in TOML (else LAMBENT_CONFIG)")
    command.add_argument(
        "--set", dest="assignments", metavar="NAME=VALUE", action="append", default=[], help="any setting, repeatable"
    )
