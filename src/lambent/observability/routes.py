"""The documented operations GET /_lambent/v1/logs and GET /_lambent/v1/metrics, free of HTTP's machinery."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct, field

from lambent.model.errors import InvalidParameterValueError
from lambent.observability.log_format import LogGroup
from lambent.observability.log_reader import LogQuery, LogReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from lambent.clock import Clock
    from lambent.model.caller import Caller
    from lambent.observability.logs import LogStore
    from lambent.observability.metrics import FunctionMetrics
    from lambent.observability.recorder import Recorder

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LOG_PARAMETERS = frozenset({"function", "group", "since", "follow"})


class Answer(Struct, frozen=True):
    """What an operation answers: status, headers, and a body at once or in chunks."""

    status: int
    body: bytes | AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class ObservabilityRoutes:
    """Answers about one caller's own account and region. Scope: node."""

    def __init__(self, store: LogStore, recorder: Recorder, metrics: FunctionMetrics, clock: Clock) -> None:
        self._store = store
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock

    async def logs(self, caller: Caller, query: Mapping[str, str]) -> Answer:
        """Answer lines of a function or a group as NDJSON, oldest first: `time` (Unix ms), `stream`, `message`.

        Parameters: `function` (a name) or `group`, or both; `since` (30s, 10m, 2h, 7d, Unix ms or ISO time);
        `follow=true` goes on until the client leaves.

        Raises:
            InvalidParameterValueError: a parameter is unknown, missing or wrong.
        """
        unknown = sorted(set(query) - _LOG_PARAMETERS)
        if unknown:
            raise InvalidParameterValueError(f"Unknown parameter: {unknown[0]}")
        function, group = query.get("function"), query.get("group")
        if not function and not group:
            raise InvalidParameterValueError("Either function or group says whose log is wanted.")
        follow = query.get("follow", "false")
        if follow not in ("true", "false"):
            raise InvalidParameterValueError("follow is true or false.")
        wanted = LogQuery(
            account_id=caller.account_id,
            region=caller.region,
            function=function or None,
            group_directory=LogGroup(caller.account_id, caller.region, group).directory if group else None,
            since_ms=self._since_ms(query.get("since", "0")),
            is_following=follow == "true",
        )
        reader = LogReader(self._store, self._recorder, wanted)
        return Answer(200, reader, {"content-type": "application/x-ndjson"})

    async def metrics(self, caller: Caller, query: Mapping[str, str]) -> Answer:
        """Answer the counts of the caller's functions and mappings since the daemon started, and the log's own.

        Raises:
            InvalidParameterValueError: there are no parameters.
        """
        if query:
            raise InvalidParameterValueError(f"Unknown parameter: {min(query)}")
        body = {
            "functions": self._metrics.of_account(caller.account_id, caller.region),
            "event_source_mappings": self._metrics.of_mappings(caller.account_id, caller.region),
            "logs": {**self._store.statistics(), **self._recorder.statistics()},
        }
        return Answer(200, json.dumps(body, indent=1).encode() + b"\n")

    def _since_ms(self, text: str) -> int:
        if match := re.fullmatch(r"(\d{1,9})([smhd])", text):
            return self._clock.time_ms() - int(match[1]) * _UNITS_MS[match[2]]
        if re.fullmatch(r"\d{1,15}", text):
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidParameterValueError("since is a span (30s, 10m, 2h, 7d), Unix ms or an ISO time.") from error
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
