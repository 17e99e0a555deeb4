"""What the operator alone can mend is told, and not a thousand times."""

from __future__ import annotations

import structlog
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.alerts import Alerts
from llm_dispatcher.runtime.canon import Fault

UNTRUSTED = Fault(kind=FaultClass.TLS, message="certificate has expired")


def test_an_untrusted_certificate_is_told_once_an_hour_for_each_vendor() -> None:
    alerts = Alerts()
    with structlog.testing.capture_logs() as lines:
        for now in (0.0, 1.0, 3599.0, 3600.0, 3601.0):
            alerts.note("a", UNTRUSTED, now)
        alerts.note("b", UNTRUSTED, 1.0)
    assert [(line["vendor"], line["log_level"]) for line in lines] == [
        ("a", "error"),
        ("a", "error"),
        ("b", "error"),
    ]
    assert {line["reason"] for line in lines} == {"certificate has expired"}


def test_what_passes_or_is_told_elsewhere_is_no_alert() -> None:
    alerts = Alerts()
    with structlog.testing.capture_logs() as lines:
        alerts.note("a", None, 0.0)
        for kind in FaultClass:
            if kind is not FaultClass.TLS:
                alerts.note("a", Fault(kind=kind, message="no"), 0.0)
    assert lines == []
