"""What an operator may order, of whom, and how: from the name that was typed to the vendors' actors.

A target is a vendor, all of whose deployments are meant, or `vendor/model`: that model there, under every key. Where there
are several keys, `vendor/model#1`, `vendor/model#2`, ... is the deployment of one.

`lift` also ends the quarantine of a vendor's own actor, if that is set aside because it crashed too often. Any other
order wants the actor to be alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from ..actors.mailbox import ActorCrashed, Mailbox, MailboxClosed, MailboxFull
from ..actors.messages import Order, Orders, VendorSnapshot
from ..actors.supervisor import Supervisor

__all__ = ["ORDERS", "OrderRefused", "carry_out", "deployments_of"]

ORDERS: Final[tuple[str, ...]] = get_args(Orders)


class OrderRefused(Exception):
    """An order that cannot be carried out; the message says why, and what can be done.

    `status` is the HTTP status that says the same: 404 for a target that there is not, 400 for an order that there is
    not, 409 if the vendor's actor is set aside, 503 if it could not be reached.
    """

    def __init__(self, message: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param


def deployments_of(target: str, vendors: Mapping[str, Iterable[str]]) -> tuple[str, tuple[str, ...]]:
    """The vendor that `target` names, and the deployments; none: all of them.

    `vendors`: the names of the deployments, by vendor. Raises `OrderRefused` with a list of what there is.
    """
    vendor, _, model = target.partition("/")
    if vendor in vendors and not model:
        return vendor, ()
    there = tuple(vendors.get(vendor, ()))
    # The deployment under the first key goes without a number; here it can be told from all of them.
    first = target.removesuffix("#1")
    if first in there and first != target:
        return vendor, (first,)
    named = tuple([name for name in there if name == target or name.rpartition("#")[0] == target])
    if named:
        return vendor, named
    known = [*vendors, *[name for names in vendors.values() for name in names]]
    raise OrderRefused(
        f"there is no vendor or deployment {target!r}; there are {', '.join(known) or 'none at all'}",
        status=404,
        code="unknown_target",
        param="target",
    )


async def carry_out(
    target: str,
    order: str,
    *,
    vendors: Mapping[str, Iterable[str]],
    mailboxes: Mapping[str, Mailbox[Any]],
    supervisor: Supervisor,
) -> VendorSnapshot:
    """Give `order`; returns how the vendor stands then. `mailboxes` are the vendors', by name. Raises `OrderRefused`."""
    word = _order(order)
    vendor, deployments = deployments_of(target, vendors)
    if word == "lift":
        supervisor.unquarantine(f"vendor {vendor}")
    mailbox = mailboxes[vendor]
    snapshot: VendorSnapshot | None = None
    try:
        for deployment in deployments or (None,):
            snapshot = await mailbox.ask(Order(word, deployment))
    except MailboxClosed:
        raise OrderRefused(
            f"the actor of {vendor} crashed too often and is set aside; `lift` brings it back",
            status=409,
            code="vendor_quarantined",
            param="target",
        ) from None
    except (ActorCrashed, MailboxFull) as lost:
        raise OrderRefused(
            f"the order was lost: {lost}; look how {vendor} stands, and give it again",
            status=503,
            code="order_lost",
        ) from None
    if snapshot is None:
        raise OrderRefused(
            f"{vendor} does not know {target!r}", status=404, code="unknown_target", param="target"
        )
    return snapshot


def _order(word: str) -> Orders:
    for each in get_args(Orders):
        if word == each:
            known: Orders = each
            return known
    raise OrderRefused(
        f"there is no order {word!r}; there are {', '.join(ORDERS)}",
        status=400,
        code="unknown_order",
        param="order",
    )
