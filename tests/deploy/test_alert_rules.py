"""When alerts fire, and when they do not, by Prometheus's own `promtool`.

Each case takes a bank that is well, lets ten minutes go by, changes some series, and says which
alerts, and no others, fire when. The figures come every 15 s.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.observability import ALERTS, alerts

_SERVICES: Final = (
    "command-service",
    "outbox-relay",
    "balance-projector",
    "audit-projector",
    "query-api",
)
_STEPS: Final = 360
_WELL: Final = 40
"""Steps before anything happens: ten minutes."""


def _of(metric: str, job: str, instance: int = 1, **labels: str) -> str:
    labels = {"job": job, "instance": f"{job}-{instance}:9464", **labels}
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _always(value: float, steps: int = _STEPS) -> str:
    return f"{value}+0x{steps}"


def _then(before: float, after: str) -> str:
    """Ten minutes of `before`, and then `after` (a value, or Prometheus's notation)."""
    return f"{_always(before, _WELL - 1)} " + (after if "x" in after else _always(float(after)))


def _grows(each: float) -> str:
    return f"0+{each}x{_STEPS}"


def _stops(each: float, *, at: int = _WELL) -> str:
    """A counter that grows, and then does not."""
    return f"0+{each}x{at} {_always(each * at)}"


RELAY: Final = "outbox-relay"
COMMANDS: Final = "command-service"
BALANCES: Final = "balance-projector"
API: Final = "query-api"

_ALL_IS_WELL: Final[Mapping[str, str]] = {
    **{_of("up", job): _always(1) for job in _SERVICES},
    **{_of("passbook_service_ready", job): _always(1) for job in _SERVICES},
    **{_of("passbook_service_unavailable_total", job): _always(1) for job in _SERVICES},
    **{_of("process_start_time_seconds", job): _always(1000) for job in _SERVICES},
    **{_of("passbook_loop_lag_seconds", job): _always(0.002) for job in _SERVICES},
    **{_of("passbook_relay_leading", job): _always(int(job == RELAY)) for job in _SERVICES},
    **{_of("passbook_relay_groups", job): _always(int(job == RELAY)) for job in _SERVICES},
    **{_of("passbook_relay_groups_leading", job): _always(int(job == RELAY)) for job in _SERVICES},
    **{_of("passbook_relay_halted_slots", job): _always(0) for job in _SERVICES},
    **{_of("passbook_partitions_held", job): _always(0) for job in _SERVICES},
    _of("passbook_relay_published_total", RELAY): _grows(100),
    _of("passbook_relay_backlog_seconds", RELAY): _always(0.1),
    _of("passbook_relay_republished_total", RELAY): _always(0),
    _of("passbook_consumer_partitions", COMMANDS, topic="bank.commands"): _always(16),
    _of("passbook_consumer_rebalances_total", COMMANDS, topic="bank.commands"): _always(1),
    _of("passbook_consumer_commits_failed_total", COMMANDS, topic="bank.commands"): _always(1),
    _of("passbook_command_wait_seconds_bucket", COMMANDS, le="0.1"): _grows(1500),
    _of("passbook_command_wait_seconds_bucket", COMMANDS, le="15.0"): _grows(1500),
    _of("passbook_command_wait_seconds_bucket", COMMANDS, le="+Inf"): _grows(1500),
    _of("passbook_append_seconds_bucket", COMMANDS, le="0.025"): _grows(100),
    _of("passbook_append_seconds_bucket", COMMANDS, le="1.0"): _grows(100),
    _of("passbook_append_seconds_bucket", COMMANDS, le="+Inf"): _grows(100),
    _of("passbook_append_retries_total", COMMANDS, reason="SlotMoved"): _grows(0.1),
    _of("passbook_dead_letters_total", COMMANDS, topic="bank.commands.dlq"): _always(0),
    _of("passbook_projection_applied_total", BALANCES, projection="balance"): _grows(100),
    _of("passbook_projection_lag_events", BALANCES, projection="balance"): _always(0),
    _of("passbook_projection_lag_seconds", BALANCES, projection="balance"): _always(0.2),
    _of("passbook_projection_duplicates_total", BALANCES, projection="balance"): _always(0),
    _of("passbook_projection_gaps_total", BALANCES, projection="balance"): _always(0),
    _of("passbook_projection_parked", BALANCES, projection="balance"): _always(0),
    _of("passbook_http_requests_total", API, status="2xx", route="/"): _grows(300),
    _of("passbook_http_requests_total", API, status="5xx", route="/"): _always(0),
    _of("passbook_http_refused_total", API, reason="overloaded"): _always(0),
    _of("passbook_http_refused_total", API, reason="malformed"): _grows(100),
    _of("passbook_stream_dropped_total", API, reason="queue"): _always(0),
    _of("passbook_stream_dropped_total", API, reason="stop"): _grows(5),
    _of("passbook_postgres_connections", RELAY): _always(40),
    _of("passbook_postgres_connections_limit", RELAY): _always(200),
    _of("passbook_kafka_brokers", RELAY): _always(3),
    _of("passbook_kafka_partitions_underreplicated", RELAY): _always(0),
    _of("passbook_kafka_partitions_offline", RELAY): _always(0),
    _of("passbook_kafka_partitions_under_min_isr", RELAY): _always(0),
}


@dataclass(frozen=True)
class Case:
    """What changes after ten minutes; when nothing has been said yet; what is said when."""

    changed: Mapping[str, str]
    quiet_at: str
    fires_at: str
    fires: tuple[str, ...]
    """Alerts, each with its labels but severity as `name job=... reason=...`."""


def _expected(alert: str) -> dict[str, Any]:
    name, *labels = alert.split(" ")
    (severity,) = {rule["labels"]["severity"] for rule in alerts() if rule["alert"] == name}
    all_labels = {
        "alertname": name,
        "alertstate": "firing",
        "severity": severity,
        **dict(label.split("=") for label in labels),
    }
    inside = ", ".join(f'{name}="{value}"' for name, value in all_labels.items())
    return {"labels": f"ALERTS{{{inside}}}", "value": 1}


def _held_again() -> str:
    """Held, looked at again every half a minute, held again."""
    return _always(0, _WELL - 1) + " 2 2 0" * 100


_AWAY: Final = _then(1, "0")
_GONE: Final = _always(1, _WELL - 1)
_NOT_READY: Final = {_of("passbook_service_ready", BALANCES): _AWAY}
_STANDBY: Final = {
    _of("up", RELAY, 2): _always(1),
    _of("passbook_service_ready", RELAY, 2): _always(1),
    _of("passbook_relay_leading", RELAY, 2): _always(0),
    # What it remembers of the time when it led.
    _of("passbook_relay_backlog_seconds", RELAY, 2): _always(900),
    _of("passbook_relay_halted_slots", RELAY, 2): _always(3),
}
_PROCESS: Final = f"instance={BALANCES}-1:9464 job={BALANCES}"

_CASES: Final[dict[str, Case]] = {
    "all is well": Case({}, "20m", "75m", ()),
    "a second relay stands by": Case(_STANDBY, "20m", "25m", ()),
    "nobody sends anything": Case(
        {
            _of("passbook_relay_published_total", RELAY): _stops(100),
            _of("passbook_projection_applied_total", BALANCES, projection="balance"): _stops(100),
        },
        "20m",
        "25m",
        (),
    ),
    "a rolling upgrade, one instance after the other": Case(
        {
            _of("process_start_time_seconds", COMMANDS): _then(1000, "2000"),
            _of("passbook_service_ready", COMMANDS): _always(1, 39) + " 0 0 0 0 " + _always(1, 400),
            _of("passbook_consumer_rebalances_total", COMMANDS, topic="bank.commands"): _then(
                1, "3"
            ),
        },
        "11m",
        "20m",
        (),
    ),
    "refused commands and hostile requests are everyday life": Case(
        {_of("passbook_commands_decided_total", COMMANDS, outcome="malformed"): _grows(1000)},
        "20m",
        "25m",
        (),
    ),
    "a container is gone, and no target any more": Case(
        {_of("up", API): _GONE, _of("passbook_service_ready", API): _GONE},
        # A series ends when nothing has come for five minutes.
        "14m",
        "17m",
        (f"PassbookServiceDown job={API}",),
    ),
    "a service does not answer": Case(
        {_of("up", BALANCES): _AWAY, _of("passbook_service_ready", BALANCES): _GONE},
        "10m30s",
        "12m",
        (f"PassbookServiceDown job={BALANCES}",),
    ),
    "a service is not ready, and tries again": Case(
        {
            **_NOT_READY,
            _of("passbook_service_unavailable_total", BALANCES): _then(1, "1+3x400"),
        },
        "11m",
        "25m",
        (f"PassbookServiceNotReady job={BALANCES}",),
    ),
    "one of two instances is not ready": Case(
        {
            **_NOT_READY,
            _of("up", BALANCES, 2): _always(1),
            _of("passbook_service_ready", BALANCES, 2): _always(1),
        },
        "14m",
        "16m",
        (f"PassbookInstanceUnhealthy {_PROCESS}",),
    ),
    "a service loses its servers now and then": Case(
        {_of("passbook_service_unavailable_total", BALANCES): _then(1, "1+0.5x400")},
        "12m",
        "25m",
        (f"PassbookServiceUnstable {_PROCESS}",),
    ),
    "a process is started again and again": Case(
        {_of("process_start_time_seconds", BALANCES): _then(1000, "1000+10x4 1040+0x300")},
        "10m15s",
        "12m",
        (f"PassbookServiceRestarting job={BALANCES}",),
    ),
    "a process is late": Case(
        {_of("passbook_loop_lag_seconds", BALANCES): _then(0.002, "0.9")},
        "14m",
        "22m",
        (f"PassbookEventLoopLate {_PROCESS}",),
    ),
    "a process was frozen once": Case(
        {_of("passbook_loop_lag_seconds", BALANCES): _always(0.002, 40) + " 60 " + _always(0.002)},
        "12m",
        "20m",
        (),
    ),
    "a group has no partitions": Case(
        {_of("passbook_consumer_partitions", COMMANDS, topic="bank.commands"): _then(16, "0")},
        "12m",
        "14m",
        (f"PassbookPartitionsUnassigned job={COMMANDS}",),
    ),
    "partitions go round and round": Case(
        {
            _of("passbook_consumer_rebalances_total", COMMANDS, topic="bank.commands"): _then(
                1, "1+0.25x300"
            )
        },
        "14m",
        "30m",
        (f"PassbookRebalancing job={COMMANDS} topic=bank.commands",),
    ),
    "offsets are not taken": Case(
        {
            _of("passbook_consumer_commits_failed_total", COMMANDS, topic="bank.commands"): _then(
                1, "1+1x300"
            )
        },
        "14m",
        "35m",
        (f"PassbookOffsetsNotCommitted job={COMMANDS} topic=bank.commands",),
    ),
    "commands wait": Case(
        {_of("passbook_command_wait_seconds_bucket", COMMANDS, le="0.1"): _stops(1500)},
        "12m",
        "20m",
        ("PassbookCommandsWait",),
    ),
    "partitions are held, and looked at again": Case(
        {_of("passbook_partitions_held", COMMANDS): _held_again()},
        "10m30s",
        "30m",
        (f"PassbookPartitionsHeld job={COMMANDS}",),
    ),
    "one message is set aside": Case(
        {_of("passbook_dead_letters_total", COMMANDS, topic="bank.commands.dlq"): _then(0, "1")},
        "9m",
        "25m",
        ("PassbookDeadLetters topic=bank.commands.dlq",),
    ),
    "one message, before the first scrape": Case(
        {
            _of(
                "passbook_dead_letters_total", BALANCES, topic="bank.events.balance.dlq"
            ): "_x40 1x400"
        },
        "9m",
        "25m",
        ("PassbookDeadLetters topic=bank.events.balance.dlq",),
    ),
    "messages were set aside long ago": Case(
        {_of("passbook_dead_letters_total", COMMANDS, topic="bank.commands.dlq"): _then(0, "1")},
        "9m",
        "80m",
        (),
    ),
    "appends are slow": Case(
        {_of("passbook_append_seconds_bucket", COMMANDS, le="0.025"): _stops(100)},
        "18m",
        "28m",
        ("PassbookAppendSlow",),
    ),
    "somebody else appends": Case(
        {_of("passbook_append_retries_total", COMMANDS, reason="SlotMoved"): _then(4, "4+40x400")},
        "18m",
        "30m",
        ("PassbookAppendRetries reason=SlotMoved",),
    ),
    "a snapshot was changed": Case(
        {_of("passbook_snapshots_ignored_total", COMMANDS, reason="hash"): "_x40 1x400"},
        "9m",
        "30m",
        ("PassbookSnapshotsIgnored reason=hash",),
    ),
    "no relay leads": Case(
        {
            _of("passbook_relay_leading", RELAY): _AWAY,
            _of("passbook_relay_groups_leading", RELAY): _AWAY,
        },
        "10m30s",
        "12m",
        ("PassbookNoRelayLeading",),
    ),
    "one of two groups has no relay": Case(
        {_of("passbook_relay_groups", RELAY): _then(1, "2")},
        "11m",
        "13m",
        ("PassbookRelayGroupsUnpublished",),
    ),
    "the relay falls behind": Case(
        {_of("passbook_relay_backlog_seconds", RELAY): _then(0, "0+15x300")},
        "12m",
        "15m",
        ("PassbookRelayBehind",),
    ),
    "the store was set back": Case(
        {_of("passbook_relay_halted_slots", RELAY): _then(0, "3")},
        "9m",
        "11m",
        ("PassbookSlotsHalted",),
    ),
    "Kafka lost records, which a relay noticed as it began": Case(
        {_of("passbook_relay_republished_total", RELAY, 2): "_x40 12x400"},
        "9m",
        "25m",
        ("PassbookLogRepublished",),
    ),
    "a read model is behind": Case(
        {
            _of("passbook_projection_lag_seconds", BALANCES, projection="balance"): _then(0, "90"),
            _of("passbook_projection_lag_events", BALANCES, projection="balance"): _then(0, "900"),
        },
        "14m",
        "16m",
        ("PassbookProjectionBehind projection=balance",),
    ),
    "a read model stands still and does not even measure its lag": Case(
        {_of("passbook_projection_applied_total", BALANCES, projection="balance"): _stops(100)},
        "16m",
        "20m",
        ("PassbookProjectionStopped projection=balance",),
    ),
    "a read model stands still with a lag, and nobody publishes": Case(
        {
            _of("passbook_projection_applied_total", BALANCES, projection="balance"): _stops(100),
            _of("passbook_relay_published_total", RELAY): _stops(100),
            _of("passbook_projection_lag_events", BALANCES, projection="balance"): _then(0, "7"),
        },
        "16m",
        "20m",
        ("PassbookProjectionStopped projection=balance",),
    ),
    "a read model skips what is published again": Case(
        {
            _of("passbook_projection_applied_total", BALANCES, projection="balance"): _stops(100),
            _of("passbook_projection_duplicates_total", BALANCES, projection="balance"): (
                f"{_always(0, _WELL - 1)} 0+900x100"
            ),
        },
        "20m",
        "30m",
        (),
    ),
    "Kafka did not deliver one event": Case(
        {_of("passbook_projection_gaps_total", BALANCES, projection="balance"): _then(0, "1")},
        "9m",
        "25m",
        ("PassbookProjectionGaps projection=balance",),
    ),
    "an account is parked": Case(
        {_of("passbook_projection_parked", BALANCES, projection="balance"): _then(0, "1")},
        "10m30s",
        "12m",
        ("PassbookAccountsParked projection=balance",),
    ),
    "many accounts are parked": Case(
        {_of("passbook_projection_parked", BALANCES, projection="balance"): _then(0, "80")},
        "10m30s",
        "12m",
        (
            "PassbookAccountsParked projection=balance",
            "PassbookParkingAlmostFull projection=balance",
        ),
    ),
    "requests fail": Case(
        {_of("passbook_http_requests_total", API, status="5xx", route="/"): _then(0, "0+60x400")},
        "12m",
        "20m",
        ("PassbookHttpErrors",),
    ),
    "one request fails, and there are hardly any": Case(
        {
            _of("passbook_http_requests_total", API, status="2xx", route="/"): _grows(0.1),
            _of("passbook_http_requests_total", API, status="5xx", route="/"): _then(0, "1"),
        },
        "12m",
        "20m",
        (),
    ),
    "requests are refused": Case(
        {_of("passbook_http_refused_total", API, reason="overloaded"): _then(0, "0+60x400")},
        "12m",
        "20m",
        ("PassbookHttpOverloaded reason=overloaded",),
    ),
    "streams are cut off": Case(
        {_of("passbook_stream_dropped_total", API, reason="queue"): _then(0, "0+2x400")},
        "12m",
        "25m",
        ("PassbookStreamsDropped reason=queue",),
    ),
    "connections run out": Case(
        {_of("passbook_postgres_connections", RELAY): _then(40, "170")},
        "14m",
        "16m",
        ("PassbookPostgresConnections",),
    ),
    "partitions have no broker": Case(
        {_of("passbook_kafka_partitions_offline", RELAY): _then(0, "4")},
        "10m30s",
        "12m",
        ("PassbookKafkaPartitionsOffline",),
    ),
    "partitions have fewer copies than a record needs": Case(
        {_of("passbook_kafka_partitions_under_min_isr", RELAY): _then(0, "4")},
        "10m30s",
        "12m",
        ("PassbookKafkaUnderMinIsr",),
    ),
    "partitions miss a copy": Case(
        {_of("passbook_kafka_partitions_underreplicated", RELAY): _then(0, "4")},
        "14m",
        "16m",
        ("PassbookKafkaUnderReplicated",),
    ),
    "all brokers are gone, or hang": Case(
        {_of("passbook_kafka_brokers", RELAY): _then(3, "0")},
        "10m30s",
        "17m",
        ("PassbookKafkaAway",),
    ),
    "a broker is gone": Case(
        {_of("passbook_kafka_brokers", RELAY): _then(3, "2")},
        "14m",
        "16m",
        ("PassbookKafkaBrokerLost",),
    ),
}


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fired = {alert.split(" ")[0] for case in _CASES.values() for alert in case.fires}
    assert fired == {rule["alert"] for rule in alerts()}


def test_promtool_finds_nothing_wrong_with_the_rules(prometheus_programs: Path) -> None:
    done = subprocess.run(
        [prometheus_programs / "promtool", "check", "rules", "--lint-fatal", ALERTS],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", _CASES)
def test_alerts_fire_when_they_should_and_no_others(
    name: str, prometheus_programs: Path, tmp_path: Path
) -> None:
    """Shown sharp: `for` doubled, a threshold changed, and `unless ... offset 1h` left out."""
    case = _CASES[name]
    firing = 'ALERTS{alertstate="firing"}'
    checks = [
        {"expr": firing, "eval_time": case.quiet_at},
        {
            "expr": firing,
            "eval_time": case.fires_at,
            "exp_samples": [_expected(alert) for alert in case.fires],
        },
    ]
    series = chain(_ALL_IS_WELL.items(), case.changed.items())
    test = {
        "interval": "15s",
        "input_series": [{"series": key, "values": value} for key, value in dict(series).items()],
        "promql_expr_test": checks,
    }
    document = {"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "test.json").write_text(json.dumps(document), "utf-8")
    done = subprocess.run(
        [prometheus_programs / "promtool", "test", "rules", tmp_path / "test.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
